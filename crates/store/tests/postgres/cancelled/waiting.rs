//! Dropped while it waits: for a lock, for a connection, for a server that has fallen silent. And what ends the
//! wait of a call that nobody drops.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use spark_domain::{Checkpoint, Job, Resource};
use spark_simulator::postgres::ThrowAwayPostgres;
use spark_store::{Cause, Error, Store};
use sqlx::{Connection, PgConnection, raw_sql};

use super::calls::{Call, READS, WRITES};
use super::stage::Stage;
use super::{give_up, left_alone};
use crate::harness::{LONG, connect, until};

/// Postgres' own limit for the wait for a lock, as the store sets it, and what a busy machine adds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const MARGIN: Duration = Duration::from_secs(6);

fn call(method: &str) -> &'static Call {
    READS.iter().chain(WRITES).find(|call| call.method == method).unwrap()
}

/// Drives a call until it waits for a lock, and drops it there. Whether it came to its end instead.
async fn dropped_at_a_lock(stage: &Stage, call: &Call, store: &Store) -> bool {
    tokio::select! {
        biased;
        end = (call.on)(store, stage) => {
            end.unwrap_or_else(|error| panic!("{}: {error:?}", call.method));
            true
        }
        () = stage.until_waiting(1) => false,
    }
}

/// What a session that waits for a lock runs in.
async fn waiting_process(stage: &Stage) -> Pid {
    let pid: i32 = stage
        .ask("select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
        .await;
    Pid::from_raw(pid).unwrap()
}

#[tokio::test]
async fn a_call_dropped_while_it_waits_for_a_lock_happens_whole_or_not_at_all() {
    let stage = Stage::set().await;
    let before = stage.rows().await;
    let mut waited = 0;
    for call in WRITES {
        let after = left_alone(&stage, call).await;
        for spared in [&[] as &[&str], &["replicator.lease"], &["replicator.lease", "replicator.resource"]] {
            let place = format!("{} dropped at a lock ({spared:?} free)", call.method);
            let store = stage.store();
            let blocker = stage.lock_all_but(spared).await;
            let ended = dropped_at_a_lock(&stage, call, &store).await;
            waited += u32::from(!ended);
            // Postgres does not look at the line while it waits: the slot must be free before the lock is.
            store.now().await.unwrap_or_else(|error| panic!("{place}: {error:?}"));
            blocker.let_go().await;
            stage.serves_on(&store, &place).await;
            let rows = stage.rows().await;
            assert!(rows == after || (rows == before && !ended), "{place}: {rows:#?}");
            stage.put_back().await;
        }
    }
    assert!(waited > 80, "only {waited} calls met a lock");
}

#[tokio::test]
async fn a_dropped_write_lets_go_of_the_lease_within_its_lock_timeout_though_the_other_lock_stays() {
    let stage = Stage::set().await;
    let store = stage.store();
    let blocker = stage.lock_all_but(&["replicator.lease"]).await;
    assert!(!dropped_at_a_lock(&stage, call("save_checkpoint"), &store).await);
    let dropped = Instant::now();
    let mut taker = PgConnection::connect(stage.url()).await.unwrap();
    until("a taker gets the row of the lease", async || {
        let lock = "select from replicator.lease where feed = 'beaches' for update nowait";
        raw_sql(lock).execute(&mut taker).await.is_ok()
    })
    .await;
    assert!(dropped.elapsed() < LOCK_TIMEOUT + MARGIN, "it took {:?}", dropped.elapsed());
    blocker.let_go().await;
}

#[tokio::test]
async fn a_call_dropped_while_it_waits_for_a_connection_leaves_its_place_in_the_queue() {
    let stage = Stage::set().await;
    let released = left_alone(&stage, call("release_lease")).await;
    let store = stage.store();
    let blocker = stage.lock_all_but(&[]).await;
    // The one connection for work, and the one for heartbeats.
    let (mut work, mut beat) =
        ((call("metadata").on)(&store, &stage), (call("release_lease").on)(&store, &stage));
    tokio::select! {
        biased;
        end = &mut work => panic!("{end:?}"),
        end = &mut beat => panic!("{end:?}"),
        () = stage.until_waiting(2) => {}
    }
    for call in READS.iter().chain(WRITES) {
        let end = give_up((call.on)(&store, &stage), 1, false).await;
        assert!(end.is_none(), "{} found a connection: {end:?}", call.method);
    }
    blocker.let_go().await;
    work.await.unwrap();
    beat.await.unwrap();
    stage.serves_on(&store, "after all were dropped").await;
    assert_eq!(stage.rows().await, released);
}

#[tokio::test]
async fn a_call_that_finds_no_connection_is_told_within_seconds_and_the_pool_serves_on() {
    let stage = Stage::set().await;
    let store = stage.store();
    let blocker = stage.lock_all_but(&[]).await;
    let (mut work, mut beat) =
        ((call("metadata").on)(&store, &stage), (call("release_lease").on)(&store, &stage));
    let begun = Instant::now();
    let told = async { tokio::join!(store.now(), store.lease_holder(stage.feed())) };
    let (now, holder) = tokio::select! {
        biased;
        end = &mut work => panic!("{end:?}"),
        end = &mut beat => panic!("{end:?}"),
        told = told => told,
    };
    assert!(matches!(now, Err(Error::Unreachable(_))), "{now:?}");
    assert!(matches!(holder, Err(Error::Unreachable(_))), "{holder:?}");
    assert!(begun.elapsed() < Duration::from_secs(5) + MARGIN, "it took {:?}", begun.elapsed());
    blocker.let_go().await;
    work.await.unwrap();
    beat.await.unwrap();
    stage.serves_on(&store, "after the pool was exhausted").await;
}

#[tokio::test]
async fn a_call_dropped_while_its_process_has_stopped_gives_its_slot_back() {
    let stage = Stage::set().await;
    let before = stage.rows().await;
    for method in ["metadata", "save_checkpoint", "reserve_requests", "commit_page_of", "renew_lease"] {
        let call = call(method);
        let after = left_alone(&stage, call).await;
        let store = stage.store();
        let blocker = stage.lock_all_but(&["replicator.lease"]).await;
        let stopped = {
            let mut work = (call.on)(&store, &stage);
            tokio::select! {
                biased;
                // The heartbeat waits for nothing here: it is stopped before its commit instead.
                end = &mut work => { end.unwrap(); None }
                () = stage.until_waiting(1) => {
                    let process = waiting_process(&stage).await;
                    kill_process(process, Signal::STOP).unwrap();
                    Some(process)
                }
            }
        };
        let begun = Instant::now();
        store.now().await.unwrap_or_else(|error| panic!("{method}: {error:?}"));
        store.lease_holder(stage.feed()).await.unwrap_or_else(|error| panic!("{method}: {error:?}"));
        assert!(begun.elapsed() < MARGIN, "{method}: it took {:?}", begun.elapsed());
        blocker.let_go().await;
        if let Some(process) = stopped {
            kill_process(process, Signal::CONT).unwrap();
        }
        stage.serves_on(&store, method).await;
        let rows = stage.rows().await;
        assert!(rows == before || rows == after, "{method}: {rows:#?}");
        stage.put_back().await;
    }
}

#[tokio::test]
async fn a_heartbeat_in_a_process_that_has_stopped_is_told_within_the_life_of_its_lease() {
    let stage = Stage::set().await;
    let store = stage.store();
    let blocker = stage.lock_all_but(&[]).await;
    let begun = Instant::now();
    let mut beat = Box::pin(store.renew_lease(&stage.lease, LONG));
    let stopped = tokio::select! {
        biased;
        end = &mut beat => panic!("{end:?}"),
        () = stage.until_waiting(1) => waiting_process(&stage).await,
    };
    kill_process(stopped, Signal::STOP).unwrap();
    let end = beat.await;
    assert!(matches!(end, Err(Error::Unreachable(Cause::Silent { seconds: 4 }))), "{end:?}");
    assert!(begun.elapsed() < Duration::from_secs(4) + MARGIN, "it took {:?}", begun.elapsed());
    blocker.let_go().await;
    assert!(store.renew_lease(&stage.lease, LONG).await.unwrap(), "the next beat has a connection");
    kill_process(stopped, Signal::CONT).unwrap();
    stage.serves_on(&store, "after the beat").await;
}

#[tokio::test]
async fn a_server_that_has_stopped_is_unreachable_within_seconds_and_serves_on_when_it_wakes() {
    let server = ThrowAwayPostgres::start().unwrap_or_else(|error| panic!("{error}"));
    let store = connect(&server.url("postgres"));
    let mut watcher = PgConnection::connect(&server.url("postgres")).await.unwrap();
    store.migrate().await.unwrap();
    store.now().await.unwrap();
    let sessions: Vec<i32> =
        sqlx::query_scalar("select pid from pg_stat_activity where application_name = 'spark-replicator'")
            .fetch_all(&mut watcher)
            .await
            .unwrap();
    let processes: Vec<Pid> =
        sessions.into_iter().chain(server.pid().map(u32::cast_signed)).filter_map(Pid::from_raw).collect();
    assert_eq!(processes.len(), 2, "the postmaster and the session");
    for process in &processes {
        kill_process(*process, Signal::STOP).unwrap();
    }
    let begun = Instant::now();
    let feed = crate::harness::feed("beaches");
    let (now, checkpoint, beat) = tokio::join!(
        store.now(),
        store.checkpoint(&feed, Resource::Property, Job::Update),
        store.lease_holder(&feed)
    );
    let took = begun.elapsed();
    for process in &processes {
        kill_process(*process, Signal::CONT).unwrap();
    }
    assert!(matches!(now, Err(Error::Unreachable(_))), "{now:?}");
    assert!(matches!(checkpoint, Err(Error::Unreachable(_))), "{checkpoint:?}");
    assert!(matches!(beat, Err(Error::Unreachable(_))), "{beat:?}");
    assert!(took < Duration::from_secs(10) + MARGIN, "it took {took:?}");
    store.now().await.unwrap();
    assert_eq!(
        store.checkpoint(&feed, Resource::Property, Job::Update).await.unwrap(),
        Checkpoint::default()
    );
    assert_eq!(store.lease_holder(&feed).await.unwrap(), None);
}
