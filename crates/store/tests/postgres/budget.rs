//! The feed's limit is kept over all instances that share a key (P11).

use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use spark_domain::Timestamp;
use spark_store::Reservation;

use crate::harness::{Database, connect};

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
                        let reservation = store.reserve_requests(&key, count, spacing).await.unwrap();
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
    let first = database.store.reserve_requests(&[1; 32], 5, spacing).await.unwrap();
    assert_eq!((first.count, first.spacing), (5, spacing));
    let behind = (first.now - first.first_at).num_milliseconds();
    assert!((0..1000).contains(&behind), "it began {behind} ms before now");
    let second = database.store.reserve_requests(&[1; 32], 1, spacing).await.unwrap();
    assert_eq!(second.first_at - first.first_at, TimeDelta::seconds(10));
    let other = database.store.reserve_requests(&[2; 32], 1, spacing).await.unwrap();
    assert!(other.first_at < second.first_at, "another key has a budget of its own");

    // What was free while nobody asked is not saved up.
    database.run("update replicator.request_budget set next_free_at = now() - interval '1 hour'").await;
    let third = database.store.reserve_requests(&[1; 32], 1, spacing).await.unwrap();
    assert!(third.first_at >= second.now, "{third:?}");
}

#[tokio::test]
async fn a_silent_key_gives_nothing_before_the_longest_silence_is_over() {
    let database = Database::migrated().await;
    let store = &database.store;
    let until = store.silence_requests(&[1; 32], Duration::from_mins(5)).await.unwrap();
    let left = until - store.now().await.unwrap();
    assert!((290..=300).contains(&left.num_seconds()), "{left}");
    assert_eq!(store.silence_requests(&[1; 32], Duration::from_secs(1)).await.unwrap(), until);
    let reservation = store.reserve_requests(&[1; 32], 1, Duration::from_millis(1)).await.unwrap();
    assert_eq!(reservation.first_at, until);
}
