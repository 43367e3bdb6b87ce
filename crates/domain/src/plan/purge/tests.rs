use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::walk::Paging;
use crate::{PageHead, RecordKey, Resource, Timestamp, Walk};

fn finished_walk(unsynced: bool) -> Walk {
    let head = PageHead { unsynced, top: 100, ..PageHead::default() };
    let walk = Walk::begin(Timestamp::default(), None, 100);
    walk.clone().arrived(&head, &[], Paging::NextLink).unwrap_or(walk)
}

fn evidence(listed: u64, counts: (Option<u64>, Option<u64>)) -> SweepEvidence {
    SweepEvidence {
        resource: Resource::Property,
        listed,
        count_before: counts.0,
        count_after: counts.1,
        new_meanwhile: 0,
        rows_held: 1000,
        rows_ended: 0,
        empty_sweeps: 0,
        same_gap_sweeps: 0,
    }
}

#[test]
fn a_sweep_cut_short_proves_nothing() {
    let walk = Walk::begin(Timestamp::default(), None, 100);
    assert_eq!(judge_sweep(&walk, &evidence(1000, (Some(1000), Some(1000)))), Err(Void::Unfinished));
}

#[test]
fn a_sweep_that_met_not_in_sync_proves_nothing() {
    let judged = judge_sweep(&finished_walk(true), &evidence(1000, (Some(1000), Some(1000))));
    assert_eq!(judged, Err(Void::NotInSync));
}

#[test]
fn zero_keys_prove_nothing_while_we_hold_records() {
    for counts in [(Some(0), Some(0)), (None, None), (Some(1000), Some(1000))] {
        assert_eq!(
            judge_sweep(&finished_walk(false), &evidence(0, counts)),
            Err(Void::Empty { rows_held: 1000 })
        );
    }
}

#[test]
fn a_resource_that_is_empty_in_sweeps_at_different_hours_waits_for_a_person() {
    let judged = |empty_sweeps, counts| {
        judge_sweep(&finished_walk(false), &SweepEvidence { empty_sweeps, ..evidence(0, counts) })
    };
    let nothing = (Some(0), Some(0));
    assert!(matches!(judged(2, nothing), Err(Void::Empty { .. })));
    let list = judged(3, nothing).unwrap();
    assert!(
        matches!(list.standing(), Standing::NeedsApproval(why) if why.contains("$count of 0")),
        "{list:?}"
    );
    for counts in [(None, None), (Some(0), None), (Some(0), Some(7)), (Some(7), Some(0))] {
        assert!(matches!(judged(9, counts), Err(Void::Empty { .. })), "{counts:?} is no word of the feed's");
    }
    assert_eq!(
        judge_sweep(&finished_walk(true), &SweepEvidence { empty_sweeps: 9, ..evidence(0, nothing) }),
        Err(Void::NotInSync)
    );
}

#[test]
fn the_keys_must_reach_the_smaller_count_less_ten() {
    let judged = |listed| judge_sweep(&finished_walk(false), &evidence(listed, (Some(1200), Some(1000))));
    assert_eq!(judged(990).map(|list| list.standing().clone()), Ok(Standing::Counted));
    assert_eq!(judged(989), Err(Void::Short { listed: 989, promised: 990, count: 1000 }));
    assert_eq!(judged(5000).map(|list| list.listed()), Ok(5000), "a surplus is fine");
}

#[test]
fn a_count_that_lies_by_the_same_gap_three_times_waits_for_approval() {
    let lying =
        |same_gap_sweeps| SweepEvidence { same_gap_sweeps, ..evidence(900, (Some(1000), Some(1000))) };
    assert!(matches!(judge_sweep(&finished_walk(false), &lying(2)), Err(Void::Short { .. })));
    let third = judge_sweep(&finished_walk(false), &lying(3));
    assert!(matches!(third.map(|list| list.standing().clone()), Ok(Standing::NeedsApproval(_))));
}

#[test]
fn a_feed_without_count_waits_for_approval() {
    let judged = judge_sweep(&finished_walk(false), &evidence(1000, (None, None)));
    assert!(matches!(judged.map(|list| list.standing().clone()), Ok(Standing::NeedsApproval(_))));
}

#[test]
fn no_open_house_in_winter_is_complete() {
    let winter = SweepEvidence {
        resource: Resource::OpenHouse,
        rows_held: 7,
        rows_ended: 7,
        ..evidence(0, (Some(0), Some(0)))
    };
    assert!(judge_sweep(&finished_walk(false), &winter).is_ok());
    let upcoming = SweepEvidence { rows_ended: 6, ..winter };
    assert_eq!(judge_sweep(&finished_walk(false), &upcoming), Err(Void::Empty { rows_held: 7 }));
}

#[test]
fn the_guard_refuses_at_each_of_its_limits() {
    let guard = Guard::default();
    let label =
        |planned, recent, rows| guard.check(planned, recent, rows).err().map(|refusal| refusal.label());
    assert_eq!(label(100, 0, 1500), None);
    assert_eq!(label(101, 0, 1500), Some("max_ratio"));
    assert_eq!(label(101, 0, 3000), None);
    assert_eq!(label(60, 60, 1500), Some("max_ratio"), "what went in the last 24 hours counts");
    assert_eq!(label(5001, 0, 200_000), Some("max_records"));
    assert_eq!(label(5001, 0, 1_000_000), None, "1 % of a million");
    assert_eq!(label(10, 0, 20), None);
    assert_eq!(label(11, 0, 20), Some("max_ratio"));
    assert_eq!(label(3, 0, 3), Some("everything"));
    assert_eq!(label(0, 500, 600), None, "nothing planned, nothing refused");
}

fn keys(names: &[u8]) -> Vec<RecordKey> {
    names.iter().filter_map(|n| RecordKey::new(&n.to_string()).ok()).collect()
}

proptest! {
    #[test]
    fn a_key_that_answers_is_never_called_gone(
        asked in prop::collection::vec(any::<u8>(), 0..30),
        answered in prop::collection::vec(any::<u8>(), 0..30),
        control in prop::option::of(any::<u8>()),
    ) {
        let (asked, answered) = (keys(&asked), keys(&answered));
        let control = control.and_then(|n| RecordKey::new(&n.to_string()).ok());
        let alive: HashSet<_> = answered.iter().collect();
        match read_confirmation(&asked, control.as_ref(), &answered) {
            Confirmation::Understood { gone } => {
                prop_assert!(gone.iter().all(|key| !alive.contains(key) && asked.contains(key)));
                prop_assert!(control.is_none_or(|key| alive.contains(&key)));
            }
            Confirmation::Misread => {
                let stranger = answered.iter().any(|key| !asked.contains(key) && control.as_ref() != Some(key));
                prop_assert!(stranger || control.is_some_and(|key| !alive.contains(&key)));
            }
        }
    }

    #[test]
    fn whatever_is_approved_by_the_guard_leaves_something(
        planned in 0u64..20_000, recent in 0u64..20_000, rows in 1u64..2_000_000
    ) {
        if Guard::default().check(planned, recent, rows).is_ok() {
            prop_assert!(planned < rows);
            prop_assert!(planned <= 100 || (planned + recent) * 20 <= rows);
        }
    }
}
