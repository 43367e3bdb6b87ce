//! One instance per feed (P6).

use std::time::Duration;

use spark_domain::{Checkpoint, Job, Resource};
use spark_store::{Error, Lease};

use crate::harness::{Database, LONG, connect, feed, until};

/// Runs out while a test looks.
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_lease_that_is_alive_is_not_given_twice() {
    let database = Database::migrated().await;
    let store = &database.store;
    let lease = store.acquire_lease(&feed("beaches"), "one", LONG).await.unwrap().unwrap();
    assert_eq!((lease.epoch(), lease.holder()), (1, "one"));
    assert_eq!(store.acquire_lease(&feed("beaches"), "two", LONG).await.unwrap(), None);
    let holder = store.lease_holder(&feed("beaches")).await.unwrap().unwrap();
    assert_eq!((holder.holder.as_str(), holder.epoch, holder.alive), ("one", 1, true));
    assert!(holder.expires_at > store.now().await.unwrap());
    assert!(store.acquire_lease(&feed("hills"), "two", LONG).await.unwrap().is_some(), "another feed");
    let again = store.acquire_lease(&feed("beaches"), "one", LONG).await.unwrap().unwrap();
    assert_eq!(again.epoch(), 1, "its own holder keeps the epoch");
}

#[tokio::test]
async fn holders_that_race_for_a_new_feed_get_one_lease() {
    let database = Database::migrated().await;
    assert_eq!(race(&database, 1).await.len(), 1);
}

#[tokio::test]
async fn holders_that_race_for_an_expired_lease_get_one() {
    let database = Database::migrated().await;
    let old = database.store.acquire_lease(&feed("beaches"), "old", LONG).await.unwrap().unwrap();
    database.store.release_lease(&old).await.unwrap();
    assert_eq!(race(&database, 2).await.len(), 1);
}

async fn race(database: &Database, epoch: i64) -> Vec<Lease> {
    let mut tasks = Vec::new();
    for runner in 0..8 {
        let store = connect(&database.url);
        let name = format!("runner {runner}");
        tasks.push(tokio::spawn(async move { store.acquire_lease(&feed("beaches"), &name, LONG).await }));
    }
    let mut leases = Vec::new();
    for task in tasks {
        leases.extend(task.await.unwrap().unwrap());
    }
    assert!(leases.iter().all(|lease| lease.epoch() == epoch), "{leases:?}");
    leases
}

#[tokio::test]
async fn a_stand_by_takes_over_an_expired_lease_with_the_next_epoch() {
    let database = Database::migrated().await;
    database.store.acquire_lease(&feed("beaches"), "old", SHORT).await.unwrap().unwrap();
    let stand_by = connect(&database.url);
    until("the stand-by has the lease", || async {
        let taken = stand_by.acquire_lease(&feed("beaches"), "new", LONG).await.unwrap();
        taken.is_some_and(|lease| lease.epoch() == 2 && lease.holder() == "new")
    })
    .await;
}

#[tokio::test]
async fn the_holder_renews_a_lease_that_ran_out_while_nobody_took_it() {
    let database = Database::migrated().await;
    let store = &database.store;
    let lease = store.acquire_lease(&feed("beaches"), "one", SHORT).await.unwrap().unwrap();
    expired(&database).await;
    assert!(matches!(write(&database, &lease).await, Err(Error::LeaseLost { .. })), "it had run out");
    assert!(store.renew_lease(&lease, LONG).await.unwrap());
    write(&database, &lease).await.unwrap();
}

#[tokio::test]
async fn a_paused_old_leader_can_neither_write_nor_renew_after_the_take_over() {
    let database = Database::migrated().await;
    let store = &database.store;
    let old = store.acquire_lease(&feed("beaches"), "old", SHORT).await.unwrap().unwrap();
    expired(&database).await;
    let new = connect(&database.url).acquire_lease(&feed("beaches"), "new", LONG).await.unwrap().unwrap();

    let error = write(&database, &old).await.unwrap_err();
    assert!(error.is_lease_lost(), "{error:?}");
    assert!(error.to_string().contains("beaches"), "{error}");
    assert!(!store.renew_lease(&old, LONG).await.unwrap());
    store.release_lease(&old).await.unwrap();
    write(&database, &new).await.unwrap();
    let written: i64 = database.ask("select count(*) from replicator.checkpoint").await;
    assert_eq!(written, 1, "only what the new leader wrote");
}

#[tokio::test]
async fn a_taker_waits_for_the_old_leaders_last_transaction() {
    let database = Database::migrated().await;
    let old = database.store.acquire_lease(&feed("beaches"), "old", SHORT).await.unwrap().unwrap();
    // The old leader's last write is caught half way, behind somebody who locks its table.
    let mut blocker = database.connection().await;
    sqlx::raw_sql("begin; lock table replicator.checkpoint").execute(&mut blocker).await.unwrap();
    let (store, lease) = (database.store.clone(), old.clone());
    let writer = tokio::spawn(async move {
        store.save_checkpoint(&lease, Resource::Office, Job::Update, &Checkpoint::default()).await
    });
    waiting(&database, 1).await;
    expired(&database).await;

    let stand_by = connect(&database.url);
    let taker = tokio::spawn(async move { stand_by.acquire_lease(&feed("beaches"), "new", LONG).await });
    waiting(&database, 2).await;
    assert!(!taker.is_finished());
    sqlx::raw_sql("commit").execute(&mut blocker).await.unwrap();
    writer.await.unwrap().unwrap();
    assert_eq!(taker.await.unwrap().unwrap().map(|lease| lease.epoch()), Some(2));
    assert!(!database.store.renew_lease(&old, LONG).await.unwrap());
}

#[tokio::test]
async fn a_heartbeat_does_not_wait_for_a_page_that_is_being_written() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let mut writer = database.connection().await;
    sqlx::raw_sql("begin; select 1 from replicator.lease where feed = 'beaches' for key share")
        .execute(&mut writer)
        .await
        .unwrap();
    let beat = tokio::time::timeout(Duration::from_secs(4), database.store.renew_lease(&lease, LONG)).await;
    assert!(beat.unwrap().unwrap());
}

#[tokio::test]
async fn a_released_lease_is_free_at_once() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    database.store.release_lease(&lease).await.unwrap();
    let next = connect(&database.url).acquire_lease(&feed("beaches"), "new", LONG).await.unwrap();
    assert_eq!(next.map(|lease| lease.epoch()), Some(2));
}

async fn waiting(database: &Database, sessions: i64) {
    until("so many sessions wait for a lock", || async {
        let waiting: i64 = database
            .ask(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                  and datname = current_database()",
            )
            .await;
        waiting == sessions
    })
    .await;
}

async fn expired(database: &Database) {
    until("the lease has run out", || async {
        !database.store.lease_holder(&feed("beaches")).await.unwrap().unwrap().alive
    })
    .await;
}

async fn write(database: &Database, lease: &Lease) -> Result<(), Error> {
    database.store.save_checkpoint(lease, Resource::Office, Job::Update, &Checkpoint::default()).await
}
