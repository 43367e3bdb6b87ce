//! Keys to read again.

use spark_domain::plan::reread::{RereadReason, Sighting};
use spark_domain::{Hash, Resource};
use spark_store::RereadResult;

use crate::fixtures::{Bench, key};

#[tokio::test]
async fn readings_are_due_in_order_and_settled_or_tried_again() {
    let bench = Bench::new().await;
    let (store, lease, feed) = (bench.store(), &bench.lease, bench.lease.feed());
    let now = store.now().await.unwrap();
    let earlier = now - chrono::Duration::minutes(1);
    let later = now + chrono::Duration::minutes(20);
    store
        .add_rereads(lease, Resource::Member, RereadReason::Missing, &[key("b"), key("b"), key("a")], now)
        .await
        .unwrap();
    store.add_rereads(lease, Resource::Member, RereadReason::Event, &[key("c")], later).await.unwrap();
    // A second order keeps the reason, and takes the earlier time.
    store.add_rereads(lease, Resource::Member, RereadReason::Rewind, &[key("b")], earlier).await.unwrap();
    let due = store.due_rereads(feed, Resource::Member, 9).await.unwrap();
    let seen: Vec<_> = due.iter().map(|each| (each.key.as_str(), each.reason, each.tries)).collect();
    assert_eq!(seen, [("b", RereadReason::Missing, 0), ("a", RereadReason::Missing, 0)]);
    assert_eq!(store.due_rereads(feed, Resource::Property, 9).await.unwrap(), []);

    let sighting = Sighting { shown: Hash([7; 16]), held: Hash([8; 16]) };
    let settled = [
        RereadResult { key: key("a"), again: None },
        RereadResult { key: key("b"), again: Some((earlier, Some(sighting))) },
    ];
    store.settle_rereads(lease, Resource::Member, &settled).await.unwrap();
    let due = store.due_rereads(feed, Resource::Member, 9).await.unwrap();
    assert_eq!((due.len(), due[0].tries, due[0].seen), (1, 1, Some(sighting)));
}
