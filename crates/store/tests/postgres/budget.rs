//! The feed's limit is kept over all instances that share a key (P11).

use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use spark_domain::Timestamp;
use spark_store::Reservation;

use crate::harness::{Database, LONG, connect};

const WINDOW: Duration = spark_domain::plan::budget::WINDOW;

fn slots(reservation: &Reservation) -> impl Iterator<Item = Timestamp> {
    let (first_at, spacing) = (reservation.first_at, TimeDelta::from_std(reservation.spacing).unwrap());
    (0..reservation.count.cast_signed()).map(move |slot| first_at + spacing * slot)
}

#[test]
fn reservations_of_many_tasks_never_put_more_than_the_limit_into_any_window() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let database = runtime.block_on(Database::migrated());
    let cases = ProptestConfig { cases: 24, ..ProptestConfig::default() };
    // A window of 300 ms stands for the feed's 300 s.
    let window = TimeDelta::milliseconds(300);
    proptest!(cases, |(
        key in any::<[u8; 32]>(),
        limit in 20_u32..200,
        instances in proptest::collection::vec(proptest::collection::vec(1_u32..12, 1..8), 1..6),
    )| {
        let spacing = Duration::from_millis(310) / (limit - 10);
        let mut sent: Vec<Timestamp> = runtime.block_on(async {
            let tasks: Vec<_> = instances.into_iter().map(|blocks| {
                let store = connect(&database.url);
                tokio::spawn(async move {
                    let mut sent = Vec::new();
                    for count in blocks {
                        let reservation = store.reserve_requests(&key, count, spacing, WINDOW).await.unwrap();
                        assert!(reservation.first_at >= reservation.now - TimeDelta::milliseconds(50));
                        sent.extend(slots(&reservation));
                    }
                    store.close().await;
                    sent
                })
            }).collect();
            let mut sent = Vec::new();
            for task in tasks {
                sent.extend(task.await.unwrap());
            }
            sent
        });
        sent.sort_unstable();
        for (first, from) in sent.iter().enumerate() {
            let inside = sent[first..].iter().take_while(|at| **at - from < window).count();
            assert!(inside <= limit as usize, "{inside} requests in one window, {limit} are allowed");
        }
    });
}

#[tokio::test]
async fn blocks_follow_one_another_and_an_idle_key_begins_at_once() {
    let database = Database::migrated().await;
    let spacing = Duration::from_secs(2);
    let first = database.store.reserve_requests(&[1; 32], 5, spacing, WINDOW).await.unwrap();
    assert_eq!((first.count, first.spacing), (5, spacing));
    let behind = (first.now - first.first_at).num_milliseconds();
    assert!((0..1000).contains(&behind), "it began {behind} ms before now");
    let second = database.store.reserve_requests(&[1; 32], 1, spacing, WINDOW).await.unwrap();
    assert_eq!(second.first_at - first.first_at, TimeDelta::seconds(10));
    let other = database.store.reserve_requests(&[2; 32], 1, spacing, WINDOW).await.unwrap();
    assert!(other.first_at < second.first_at, "another key has a budget of its own");

    // What was free while nobody asked is not saved up.
    database.run("update replicator.request_budget set next_free_at = now() - interval '1 hour'").await;
    let third = database.store.reserve_requests(&[1; 32], 1, spacing, WINDOW).await.unwrap();
    assert!(third.first_at >= second.now, "{third:?}");
}

#[tokio::test]
async fn a_silent_key_gives_nothing_before_the_longest_silence_is_over() {
    let database = Database::migrated().await;
    let store = &database.store;
    let until = store.silence_requests(&[1; 32], Duration::from_mins(5), WINDOW).await.unwrap().until;
    let left = until - store.now().await.unwrap();
    assert!((290..=300).contains(&left.num_seconds()), "{left}");
    assert_eq!(store.silence_requests(&[1; 32], Duration::from_secs(1), WINDOW).await.unwrap().until, until);
    let reservation = store.reserve_requests(&[1; 32], 1, Duration::from_millis(1), WINDOW).await.unwrap();
    let apart = (reservation.first_at - until).num_microseconds().unwrap();
    assert!(apart.abs() <= 1, "{apart} microseconds apart");
}

#[tokio::test]
async fn a_refused_key_is_slower_over_restarts_once_a_silence_and_climbs_again_by_the_hour() {
    let database = Database::migrated().await;
    let (key, spacing) = ([1; 32], Duration::from_millis(100));
    let share = async || connect(&database.url).reserve_requests(&key, 2, spacing, WINDOW).await.unwrap();
    let refuse = async || database.store.silence_requests(&key, LONG, WINDOW).await.unwrap();
    assert!((share().await.share - 1.0).abs() < 1e-9);
    let first = refuse().await;
    assert_eq!(first.spent, 2);
    assert!((first.share - 0.7).abs() < 1e-6, "{first:?}");
    // What else was under way meets the same refusal.
    assert!((refuse().await.share - 0.7).abs() < 1e-6);
    let slower = share().await;
    assert_eq!(slower.spacing.as_millis(), 142, "{slower:?}");

    database.run("update replicator.request_budget set silent_until = now(), share_at = now() - interval '2 hours'").await;
    assert!((share().await.share - 0.8).abs() < 1e-4, "two hours are a tenth");
    for _ in 0..20 {
        refuse().await;
        database.run("update replicator.request_budget set silent_until = now()").await;
    }
    let least = share().await;
    assert!((least.share - 0.1).abs() < 1e-4, "{least:?}");
    database.run("update replicator.request_budget set share_at = now() - interval '40 hours'").await;
    assert!((share().await.share - 1.0).abs() < 1e-9, "the configured limit is the ceiling");
}

#[tokio::test]
async fn what_was_granted_in_the_last_window_is_known_when_a_refusal_comes() {
    let database = Database::migrated().await;
    let key = [1; 32];
    let grant =
        async |count| database.store.reserve_requests(&key, count, Duration::ZERO, WINDOW).await.unwrap();
    let spent = async || database.store.silence_requests(&key, Duration::ZERO, WINDOW).await.unwrap().spent;
    grant(60).await;
    grant(60).await;
    assert_eq!(spent().await, 120);
    // Six minutes later most of them are out of the window.
    database.run("update replicator.request_budget set spent_since = now() - interval '6 minutes'").await;
    grant(10).await;
    database.run("update replicator.request_budget set spent_since = now() - interval '4 minutes'").await;
    let left = spent().await;
    assert!((30..=34).contains(&left), "{left} instead of 10 and a fifth of 120");
    database.run("update replicator.request_budget set spent_since = now() - interval '11 minutes'").await;
    grant(1).await;
    assert_eq!(spent().await, 1);
}

#[tokio::test]
async fn feeds_of_one_key_with_different_limits_or_leaders_know_of_each_other_while_somebody_leads_them() {
    let database = Database::migrated().await;
    let store = &database.store;
    let (beaches, plains) = (database.feed("beaches").await, database.feed("plains").await);
    let key = [3; 32];
    store.reserve_requests(&key, 1, Duration::ZERO, WINDOW).await.unwrap();
    store.note_request_key(&beaches, &key, 1_200).await.unwrap();
    store.note_request_key(&plains, &key, 1_200).await.unwrap();
    let rivals = async || store.budget_state(beaches.feed()).await.unwrap().unwrap().rivals;
    assert!(rivals().await.is_empty(), "one process leads both, with one limit");
    store.note_request_key(&plains, &key, 4_000).await.unwrap();
    let known = rivals().await;
    assert_eq!((known[0].feed.as_str(), known[0].limit, known[0].elsewhere), ("plains", 4_000, false));
    store.release_lease(&plains).await.unwrap();
    assert!(rivals().await.is_empty(), "nobody leads the other");

    // Another process, which agrees about the limit.
    let taken = store.acquire_lease(plains.feed(), "another", LONG).await.unwrap().unwrap();
    store.note_request_key(&taken, &key, 1_200).await.unwrap();
    let known = rivals().await;
    assert_eq!((known[0].holder.as_str(), known[0].limit, known[0].elsewhere), ("another", 1_200, true));
    let theirs = store.budget_state(plains.feed()).await.unwrap().unwrap().rivals;
    assert_eq!((theirs[0].feed.as_str(), theirs[0].elsewhere), ("beaches", true));
    store.note_request_key(&taken, &[4; 32], 1_200).await.unwrap();
    assert!(rivals().await.is_empty(), "the keys are two");
}
