//! Runs: begun, ended, abandoned, forgotten.

use chrono::TimeDelta;
use spark_domain::{Job, Resource};
use spark_store::{JobState, Lease, Outcome, RunEnd, RunTotals, Store};

use crate::harness::{Database, LONG, connect, feed};

const FAILED: RunEnd<'_> = RunEnd {
    outcome: Outcome::Failed,
    reason: Some("network"),
    message: Some("the feed did not answer"),
    due_at: None,
    totals: RunTotals {
        pages: 0,
        inserted: 0,
        updated: 0,
        unchanged: 0,
        deleted: 0,
        rejected: 0,
        older: 0,
        requests: 3,
        bytes: 0,
    },
};
const SUCCESS: RunEnd<'_> = RunEnd { outcome: Outcome::Success, reason: None, message: None, ..FAILED };

async fn state(store: &Store) -> JobState {
    store.job_states(&feed("beaches")).await.unwrap().remove(0)
}

async fn outcomes(store: &Store) -> Vec<String> {
    let runs = store.recent_runs(Some(&feed("beaches")), 100).await.unwrap();
    runs.into_iter().map(|run| format!("{} {} {}", run.resource, run.job, run.outcome)).collect()
}

#[tokio::test]
async fn failures_are_counted_in_a_row_and_a_success_clears_them() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    for (end, failures) in [(FAILED, 1), (FAILED, 2), (RunEnd { outcome: Outcome::Cancelled, ..FAILED }, 2)] {
        let run = store.begin_run(&lease, Resource::Property, Job::Update).await.unwrap();
        store.end_run(&lease, run, &end).await.unwrap();
        let state = state(store).await;
        assert_eq!((state.failures, state.last_success_at), (failures, None));
        assert!(state.last_attempt_at.is_some());
    }
    let run = store.begin_run(&lease, Resource::Property, Job::Update).await.unwrap();
    store.end_run(&lease, run, &SUCCESS).await.unwrap();
    let state = state(store).await;
    assert_eq!(state.failures, 0);
    assert!(state.last_success_at >= state.last_attempt_at, "{state:?}");

    let runs = store.recent_runs(None, 2).await.unwrap();
    assert_eq!(runs.len(), 2, "the limit holds");
    assert_eq!((runs[0].run, runs[0].outcome.as_str()), (run, "success"));
    assert_eq!((runs[1].outcome.as_str(), runs[1].reason.as_deref()), ("cancelled", Some("network")));
    assert_eq!(runs[1].totals.requests, 3);
    assert!(runs[0].ended_at >= Some(runs[0].began_at));
}

#[tokio::test]
async fn a_run_carries_out_the_order_it_was_begun_for_and_keeps_the_earliest_new_one() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    store.set_due(&lease, Resource::Property, Job::Purge, Some(now)).await.unwrap();
    let run = store.begin_run(&lease, Resource::Property, Job::Purge).await.unwrap();
    assert_eq!(state(store).await.due_at, None, "the order is being carried out");

    // Somebody orders another one meanwhile; the run's own retry is later.
    store.set_due(&lease, Resource::Property, Job::Purge, Some(now)).await.unwrap();
    let retry = RunEnd { due_at: Some(now + TimeDelta::minutes(30)), ..FAILED };
    store.end_run(&lease, run, &retry).await.unwrap();
    assert_eq!(state(store).await.due_at, Some(now));
}

#[tokio::test]
async fn a_run_that_is_over_stays_as_it_ended() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    let run = store.begin_run(&lease, Resource::Property, Job::Update).await.unwrap();
    store.end_run(&lease, run, &SUCCESS).await.unwrap();
    store.end_run(&lease, run, &FAILED).await.unwrap();
    assert_eq!(outcomes(store).await, ["Property update success"]);
    assert_eq!(state(store).await.failures, 0);
}

#[tokio::test]
async fn runs_left_behind_by_another_epoch_are_marked_abandoned() {
    let database = Database::migrated().await;
    let store = &database.store;
    let old = database.feed("beaches").await;
    store.begin_run(&old, Resource::Property, Job::Update).await.unwrap();
    store.begin_run(&old, Resource::Office, Job::Purge).await.unwrap();
    let other = database.feed("hills").await;
    store.begin_run(&other, Resource::Property, Job::Update).await.unwrap();

    let new = next_holder(&database, &old).await;
    let store = connect(&database.url);
    store.begin_run(&new, Resource::Member, Job::Update).await.unwrap();
    assert_eq!(
        outcomes(&store).await,
        ["Member update running", "Office purge abandoned", "Property update abandoned"]
    );
    let elsewhere = store.recent_runs(Some(&feed("hills")), 10).await.unwrap();
    assert_eq!(elsewhere[0].outcome, "running", "another feed's run goes on");
}

#[tokio::test]
async fn a_run_of_the_same_epoch_is_abandoned_only_by_the_next_of_its_own_job() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    store.begin_run(&lease, Resource::Property, Job::Update).await.unwrap();
    store.begin_run(&lease, Resource::Property, Job::MediaRefresh).await.unwrap();
    store.begin_run(&lease, Resource::Property, Job::Update).await.unwrap();
    let expected = ["Property update running", "Property media_refresh running", "Property update abandoned"];
    assert_eq!(outcomes(store).await, expected);
}

#[tokio::test]
async fn runs_older_than_thirty_days_are_forgotten() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    database
        .run("insert into replicator.job_run (feed, resource, job, epoch, holder, outcome, began_at, ended_at) \
              select 'beaches', 'Property', 'update', 1, 'test', 'success', t, t \
              from (values (now() - interval '31 days'), (now() - interval '29 days')) as old (t)")
        .await;
    let store = &database.store;
    let run = store.begin_run(&lease, Resource::Property, Job::Update).await.unwrap();
    store.end_run(&lease, run, &SUCCESS).await.unwrap();
    assert_eq!(outcomes(store).await.len(), 2);
}

async fn next_holder(database: &Database, old: &Lease) -> Lease {
    database.store.release_lease(old).await.unwrap();
    database.store.acquire_lease(old.feed(), "next", LONG).await.unwrap().unwrap()
}
