//! Where a job stands comes back as it was kept.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use spark_domain::walk::Position;
use spark_domain::{Checkpoint, Job, RecordKey, Resource, Timestamp, Walk};

use crate::harness::{Database, feed};

fn moment() -> impl Strategy<Value = Timestamp> {
    // Microseconds are Postgres' own grain.
    (0_i64..4_000_000_000_000_000).prop_map(|micros| DateTime::UNIX_EPOCH + TimeDelta::microseconds(micros))
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![
        Just(Position::Start),
        "https://feed\\.example/[ -~]{0,300}".prop_map(Position::Link),
        "[a-z0-9'%-]{1,60}".prop_map(|text| Position::After(RecordKey::new(&text).unwrap())),
        Just(Position::End),
    ]
}

prop_compose! {
    fn walk()(
        began_at in moment(),
        as_of in proptest::option::of(moment()),
        window in proptest::option::of((moment(), proptest::option::of(moment()))),
        position in position(),
        expected in proptest::option::of(0..=i64::MAX.cast_unsigned()),
        (top, pages, restarts, empty_in_a_row) in any::<(u32, u32, u32, u32)>(),
        records in 0..=i64::MAX.cast_unsigned(),
        unsynced in any::<bool>(),
        last in proptest::option::of("[a-z0-9'%-]{1,60}".prop_map(|text| RecordKey::new(&text).unwrap())),
    ) -> Walk {
        let links = HashSet::new();
        Walk { began_at, as_of, window, position, top, expected, pages, records, unsynced, restarts, empty_in_a_row, last, links }
    }
}

prop_compose! {
    fn checkpoint()(
        cursor in proptest::option::of(moment()),
        walk in proptest::option::of(walk()),
        unsynced_passes in 0..1000_u32,
    ) -> Checkpoint {
        Checkpoint { cursor, walk, unsynced_passes }
    }
}

#[test]
fn a_checkpoint_comes_back_as_it_was_saved() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (database, lease) = runtime.block_on(async {
        let database = Database::migrated().await;
        let lease = database.feed("beaches").await;
        (database, lease)
    });
    let cases = ProptestConfig { cases: 200, ..ProptestConfig::default() };
    proptest!(cases, |(checkpoint in checkpoint())| {
        runtime.block_on(async {
            let store = &database.store;
            store.save_checkpoint(&lease, Resource::Property, Job::Update, &checkpoint).await.unwrap();
            let read = store.checkpoint(&feed("beaches"), Resource::Property, Job::Update).await.unwrap();
            assert_eq!(read, checkpoint);
        });
    });
}

#[tokio::test]
async fn a_job_that_never_ran_has_the_default_checkpoint() {
    let database = Database::migrated().await;
    let checkpoint = database.store.checkpoint(&feed("beaches"), Resource::Member, Job::Purge).await.unwrap();
    assert_eq!(checkpoint, Checkpoint::default());
}

#[tokio::test]
async fn the_links_of_a_walk_are_not_kept() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let mut walk = Walk::begin(DateTime::UNIX_EPOCH, None, 100);
    walk.links.insert(7);
    let checkpoint = Checkpoint { walk: Some(walk), ..Checkpoint::default() };
    database.store.save_checkpoint(&lease, Resource::Member, Job::Update, &checkpoint).await.unwrap();
    let read = database.store.checkpoint(&feed("beaches"), Resource::Member, Job::Update).await.unwrap();
    assert!(read.walk.unwrap().links.is_empty());
}

#[tokio::test]
async fn saving_a_checkpoint_leaves_the_schedule_of_its_job_alone() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    let due_at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    store.set_due(&lease, Resource::Office, Job::Purge, Some(due_at)).await.unwrap();
    let walk = Walk::begin(DateTime::UNIX_EPOCH, None, 100);
    let checkpoint = Checkpoint { cursor: Some(due_at), walk: Some(walk), unsynced_passes: 0 };
    store.save_checkpoint(&lease, Resource::Office, Job::Purge, &checkpoint).await.unwrap();
    let states = store.job_states(&feed("beaches")).await.unwrap();
    assert_eq!(states.len(), 1);
    let state = &states[0];
    assert_eq!((state.resource, state.job), (Resource::Office, Job::Purge));
    assert_eq!((state.due_at, state.in_walk, state.cursor), (Some(due_at), true, Some(due_at)));
    store.set_due(&lease, Resource::Office, Job::Purge, None).await.unwrap();
    assert_eq!(store.job_states(&feed("beaches")).await.unwrap()[0].due_at, None);
}
