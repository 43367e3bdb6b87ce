//! The inbox of webhooks.

use chrono::TimeDelta;
use spark_domain::{EntityEvent, FeedName, Resource};
use spark_store::{DueEvent, EventRead, Receipt, Store};

use crate::fixtures::{Bench, event};

const R: Resource = Resource::Property;
const ROOM: i64 = 100;

async fn received(store: &Store, feed: &FeedName, events: &[EntityEvent]) -> u64 {
    match store.receive_events(feed, events, ROOM).await.unwrap() {
        Receipt::Kept { keys } => keys,
        Receipt::Full => panic!("there is room"),
    }
}

async fn due(store: &Store, feed: &FeedName) -> Vec<(Resource, String, bool)> {
    let due = store.due_events(feed, ROOM).await.unwrap();
    due.iter().map(|due| (due.resource, due.key.to_string(), due.read_before)).collect()
}

/// Settles all that is due: in a minute once more, or for good.
async fn settle(bench: &Bench, due: &[DueEvent], again: bool) {
    let in_a_minute = bench.store().now().await.unwrap() + TimeDelta::minutes(1);
    let again_at = again.then_some(in_a_minute);
    let read: Vec<_> = due.iter().map(|event| EventRead { event, again_at }).collect();
    bench.store().settle_events(&bench.lease, R, &read).await.unwrap();
}

#[tokio::test]
async fn a_key_is_due_once_however_often_and_in_whatever_order_its_events_come() {
    let bench = Bench::new().await;
    let (store, feed) = (bench.store(), bench.lease.feed());
    assert_eq!(received(store, feed, &[event(R, "a", 5), event(R, "b", 6), event(R, "a", 7)]).await, 2);
    let first = store.due_events(feed, ROOM).await.unwrap();
    assert_eq!(received(store, feed, &[event(R, "a", 5), event(R, "b", 6)]).await, 0, "a repetition");
    assert_eq!(store.due_events(feed, ROOM).await.unwrap(), first, "a repetition changed something");
    assert_eq!(received(store, feed, &[event(R, "a", 8)]).await, 1);
    assert_eq!(due(store, feed).await.len(), 2);
    // Without a number nothing tells it from a new event.
    assert_eq!(received(store, feed, &[EntityEvent { sequence: None, ..event(R, "a", 0) }]).await, 1);
}

#[tokio::test]
async fn an_event_that_comes_while_its_key_is_read_makes_the_key_due_again() {
    let bench = Bench::new().await;
    let (store, feed) = (bench.store(), bench.lease.feed());
    for again in [false, true] {
        received(store, feed, &[event(R, "a", 1), event(R, "b", 1)]).await;
        let being_read = store.due_events(feed, ROOM).await.unwrap();
        received(store, feed, &[event(R, "a", 2)]).await;
        settle(&bench, &being_read, again).await;
        assert_eq!(due(store, feed).await, [(R, "a".to_owned(), false)], "again: {again}");
        bench.database.run("delete from replicator.event").await;
    }
}

#[tokio::test]
async fn what_was_read_is_read_once_more_and_behind_what_was_not() {
    let bench = Bench::new().await;
    let (store, feed) = (bench.store(), bench.lease.feed());
    received(store, feed, &[event(R, "a", 1)]).await;
    settle(&bench, &store.due_events(feed, ROOM).await.unwrap(), true).await;
    assert_eq!(due(store, feed).await, [], "its second reading is in a minute");
    let queue = store.event_queue(feed).await.unwrap();
    assert_eq!((queue.unread, queue.oldest_received_at), (0, None));
    bench.database.run("update replicator.event set due_at = now() - interval '1 hour'").await;
    received(store, feed, &[event(R, "b", 1), event(Resource::Office, "o", 1)]).await;
    let (a, b) = ((R, "a".to_owned(), true), (R, "b".to_owned(), false));
    assert_eq!(due(store, feed).await, [(Resource::Office, "o".to_owned(), false), b.clone(), a]);
    let one_each: Vec<_> = store.due_events(feed, 1).await.unwrap();
    let keys: Vec<_> = one_each.iter().map(|due| due.key.as_str()).collect();
    assert_eq!(
        keys,
        ["o", "b"],
        "no resource keeps another's events waiting, and nothing read what is unread"
    );
    assert_eq!(store.event_queue(feed).await.unwrap().unread, 2);
}

#[tokio::test]
async fn an_inbox_is_bounded_and_says_so() {
    let bench = Bench::new().await;
    let (store, feed) = (bench.store(), bench.lease.feed());
    let names: Vec<_> = (0..3).map(|n| event(R, &n.to_string(), 1)).collect();
    assert_eq!(store.receive_events(feed, &names[..2], 2).await.unwrap(), Receipt::Kept { keys: 2 });
    assert_eq!(store.receive_events(feed, &names[2..], 2).await.unwrap(), Receipt::Full);
    assert_eq!(due(store, feed).await.len(), 2);
    let other = "plains".parse().unwrap();
    let elsewhere = store.receive_events(&other, &names, 2).await.unwrap();
    assert_eq!(elsewhere, Receipt::Kept { keys: 3 }, "one feed's flood is not another's");
}

#[tokio::test]
async fn what_waits_for_its_second_reading_takes_the_room_of_nothing_unread() {
    let bench = Bench::new().await;
    let (store, feed) = (bench.store(), bench.lease.feed());
    let receive = async |names: &[&str], sequence| {
        let events: Vec<_> = names.iter().map(|name| event(R, name, sequence)).collect();
        store.receive_events(feed, &events, 2).await.unwrap()
    };
    // A mass edit: much more than the room is read, and waits out the cache window.
    for names in [["a", "b"], ["c", "d"], ["e", "f"]] {
        assert_eq!(receive(&names, 1).await, Receipt::Kept { keys: 2 }, "{names:?}");
        settle(&bench, &store.due_events(feed, ROOM).await.unwrap(), true).await;
    }
    assert_eq!(receive(&["g", "h"], 1).await, Receipt::Kept { keys: 2 });
    assert_eq!(receive(&["i"], 1).await, Receipt::Full, "two are unread");
    assert_eq!(receive(&["g", "a"], 2).await, Receipt::Kept { keys: 2 }, "it names no new key");
    assert_eq!(receive(&["h", "i"], 2).await, Receipt::Full);
    assert_eq!(receive(&["h"], 2).await, Receipt::Kept { keys: 1 }, "what was turned away left a trace");
    // For ever it must not grow either.
    settle(&bench, &store.due_events(feed, ROOM).await.unwrap(), true).await;
    assert_eq!(store.event_queue(feed).await.unwrap().unread, 0);
    assert_eq!(receive(&["i"], 1).await, Receipt::Full, "eight wait for their second reading");
    assert_eq!(receive(&["b"], 2).await, Receipt::Kept { keys: 1 });
}

#[tokio::test]
async fn a_delivery_finds_a_connection_although_every_other_is_at_work() {
    let bench = Bench::new().await;
    let (store, feed) = (bench.store(), bench.lease.feed());
    let mut beside = bench.database.connection().await;
    sqlx::raw_sql("begin; lock table replicator.job_run").execute(&mut beside).await.unwrap();
    let stuck: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.recent_runs(None, 1).await.map(drop) })
        })
        .collect();
    crate::harness::until("all connections are at work", async || store.pool_state().idle == 0).await;
    assert_eq!(received(store, feed, &[event(R, "a", 1)]).await, 1);
    sqlx::raw_sql("rollback").execute(&mut beside).await.unwrap();
    for task in stuck {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_delivery_that_cannot_be_written_is_told_before_its_sender_gives_up() {
    let bench = Bench::new().await;
    let mut beside = bench.database.connection().await;
    sqlx::raw_sql("begin; lock table replicator.event").execute(&mut beside).await.unwrap();
    let begun = std::time::Instant::now();
    let told = bench.store().receive_events(bench.lease.feed(), &[event(R, "a", 1)], ROOM).await;
    assert!(told.is_err(), "{told:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "after {:?}", begun.elapsed());
}
