//! Whether a list of keys may be believed.

use crate::{Breakage, Resource, Walk};

/// What is known of a sweep when its last page has been staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepEvidence {
    /// Which resource was swept.
    pub resource: Resource,
    /// Distinct keys that it listed.
    pub listed: u64,
    /// `$count` as the first page gave it.
    pub count_before: Option<u64>,
    /// `$count` asked for after the last page.
    pub count_after: Option<u64>,
    /// Keys that we first saw, by any job, while it ran.
    pub new_meanwhile: u64,
    /// Rows that we hold.
    pub rows_held: u64,
    /// How many of them are open houses that have ended.
    pub rows_ended: u64,
    /// Sweeps in a row, this one included and each at least an hour after the one before, in which the feed listed
    /// nothing and counted nothing.
    pub empty_sweeps: u32,
    /// Sweeps in a row, this one included, that missed the count by exactly the same number of keys.
    pub same_gap_sweeps: u32,
}

/// A list of keys that names every record that the feed shows: made by [`judge_sweep`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteKeyList {
    listed: u64,
    standing: Standing,
}

/// How far the completeness is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The feed's own count agrees.
    Counted,
    /// The feed gives no count, or one that is always off by the same gap: a person must approve.
    NeedsApproval(String),
}

/// Why a sweep proves nothing. It is due again in 30 minutes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// The walk did not end by its last page.
    #[error("the key list did not come to its end")]
    Unfinished,
    /// The feed said meanwhile that its data is not in sync (Spark 1023, 1024, 2005).
    #[error("the feed said during the sweep that it is not in sync with its source (1023, 1024 or 2005)")]
    NotInSync,
    /// Not one key, while we hold records.
    #[error("the feed listed no key at all, and we hold {rows_held} records")]
    Empty {
        /// Rows that we hold.
        rows_held: u64,
    },
    /// Fewer keys than the feed counts.
    #[error("the feed listed {listed} distinct keys where its count promises at least {promised}")]
    Short {
        /// Distinct keys listed.
        listed: u64,
        /// The smaller count, less what may have moved meanwhile.
        promised: u64,
        /// The smaller count itself.
        count: u64,
    },
}

/// A list without a key is believed after so many sweeps, and then only by a person.
const EMPTY_SWEEPS: u32 = 3;

impl SweepEvidence {
    /// Whether the feed says itself that it has nothing, before and after its empty list.
    pub fn counts_nothing(&self) -> bool {
        self.listed == 0 && self.count_before == Some(0) && self.count_after == Some(0)
    }
}

impl CompleteKeyList {
    /// Distinct keys on the list.
    pub const fn listed(&self) -> u64 {
        self.listed
    }

    /// How far it is proved.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }
}

impl Void {
    /// By how many keys the list misses the count, where that is what is wrong.
    pub const fn gap(&self) -> Option<u64> {
        match self {
            Self::Short { listed, count, .. } => Some(count.saturating_sub(*listed)),
            Self::Unfinished | Self::NotInSync | Self::Empty { .. } => None,
        }
    }
}

/// Judges a sweep. Distinct keys must reach the smaller of the two counts, less ten or what was new meanwhile;
/// a surplus is fine, since keys may have left after they were listed.
pub fn judge_sweep(walk: &Walk, evidence: &SweepEvidence) -> Result<CompleteKeyList, Void> {
    let SweepEvidence { listed, rows_held, .. } = *evidence;
    if Breakage::IncompleteSweep.is_on() {
        return Ok(CompleteKeyList { listed, standing: Standing::Counted });
    }
    if !walk.is_finished() {
        return Err(Void::Unfinished);
    }
    if walk.unsynced {
        return Err(Void::NotInSync);
    }
    let complete = |standing| Ok(CompleteKeyList { listed, standing });
    if listed == 0 && rows_held > 0 && !nothing_left_to_show(evidence) {
        if evidence.counts_nothing() && evidence.empty_sweeps >= EMPTY_SWEEPS {
            return complete(Standing::NeedsApproval(format!(
                "{EMPTY_SWEEPS} sweeps, each an hour or more after the last, found no {} and a $count of 0; all \
                 {rows_held} of ours would go",
                evidence.resource
            )));
        }
        return Err(Void::Empty { rows_held });
    }
    let Some(count) = evidence.count_before.into_iter().chain(evidence.count_after).min() else {
        return complete(Standing::NeedsApproval(
            "the feed gives no $count to hold its key list against".to_owned(),
        ));
    };
    let promised = count.saturating_sub(evidence.new_meanwhile.max(10));
    if listed >= promised && (listed > 0 || count == 0 || rows_held == 0) {
        complete(Standing::Counted)
    } else if evidence.same_gap_sweeps >= 3 && listed > 0 {
        let gap = count.saturating_sub(listed);
        complete(Standing::NeedsApproval(format!(
            "three sweeps in a row listed {gap} keys fewer than the feed's $count of {count}"
        )))
    } else {
        Err(Void::Short { listed, promised, count })
    }
}

/// No open house in winter: the feed counts none, and all of ours have ended.
fn nothing_left_to_show(evidence: &SweepEvidence) -> bool {
    evidence.resource == Resource::OpenHouse
        && evidence.count_before == Some(0)
        && evidence.rows_ended == evidence.rows_held
}
