//! What people ask a running replicator to do.

use spark_domain::{Hash, Job, RecordKey, Resource};
use spark_store::{PlanId, RequestKind, RequestResult};

use crate::harness::{Database, LONG, feed};

fn kinds() -> Vec<RequestKind> {
    vec![
        RequestKind::Once { job: Job::Purge, resource: Some(Resource::Teams) },
        RequestKind::Once { job: Job::Metadata, resource: None },
        RequestKind::PurgeApprove { plan: PlanId(12) },
        RequestKind::PurgePlan { resource: Some(Resource::OpenHouse) },
        RequestKind::Resync { resource: None },
        RequestKind::Pause,
        RequestKind::Resume,
        RequestKind::Repair { resource: Resource::Property, key: RecordKey::new("3yd-O'Hare").unwrap() },
    ]
}

#[tokio::test]
async fn requests_of_every_kind_are_taken_once_in_order_and_answered() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    for kind in kinds() {
        store.submit_request(&feed("beaches"), &kind, "ann").await.unwrap();
    }
    store.submit_request(&feed("hills"), &RequestKind::Pause, "bob").await.unwrap();

    let taken = store.take_requests(&lease, &[]).await.unwrap();
    assert_eq!(taken.iter().map(|request| request.kind.clone()).collect::<Vec<_>>(), kinds());
    assert!(taken.iter().all(|request| request.by == "ann"));
    let in_hand: Vec<_> = taken.iter().map(|request| request.id).collect();
    assert!(store.take_requests(&lease, &in_hand).await.unwrap().is_empty(), "they were taken");

    let id = taken[0].id;
    assert_eq!(store.request_result(id).await.unwrap(), None);
    store.finish_request(&lease, id, true, "purged 3 rows").await.unwrap();
    store.finish_request(&lease, id, false, "a later answer").await.unwrap();
    let expected = RequestResult { ok: true, message: "purged 3 rows".to_owned() };
    assert_eq!(store.request_result(id).await.unwrap(), Some(expected));
}

#[tokio::test]
async fn a_request_whose_taking_was_not_heard_of_is_taken_again_and_one_in_hand_is_not() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    let lost = store.submit_request(&feed("beaches"), &RequestKind::Pause, "ann").await.unwrap();
    assert_eq!(store.take_requests(&lease, &[]).await.unwrap().len(), 1, "of whose answer nothing was heard");
    let again = store.take_requests(&lease, &[]).await.unwrap();
    assert_eq!(again.iter().map(|request| request.id).collect::<Vec<_>>(), [lost]);
    let next = store.submit_request(&feed("beaches"), &RequestKind::Resume, "ann").await.unwrap();
    let more = store.take_requests(&lease, &[lost]).await.unwrap();
    assert_eq!(more.iter().map(|request| request.id).collect::<Vec<_>>(), [next]);
    assert!(store.take_requests(&lease, &[lost, next]).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_next_holder_takes_again_what_the_last_one_did_not_finish() {
    let database = Database::migrated().await;
    let old = database.feed("beaches").await;
    let store = &database.store;
    let done = store.submit_request(&feed("beaches"), &RequestKind::Pause, "ann").await.unwrap();
    let open = store.submit_request(&feed("beaches"), &RequestKind::Resume, "ann").await.unwrap();
    assert_eq!(store.take_requests(&old, &[]).await.unwrap().len(), 2);
    store.finish_request(&old, done, true, "").await.unwrap();
    store.release_lease(&old).await.unwrap();
    let new = store.acquire_lease(&feed("beaches"), "next", LONG).await.unwrap().unwrap();
    let taken = store.take_requests(&new, &[]).await.unwrap();
    assert_eq!(taken.iter().map(|request| request.id).collect::<Vec<_>>(), [open]);
}

#[tokio::test]
async fn a_request_that_nobody_took_for_a_day_is_refused_and_not_obeyed_late() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    let id = store.submit_request(&feed("beaches"), &RequestKind::Pause, "ann").await.unwrap();
    database.run("update replicator.operator_request set requested_at = now() - interval '25 hours'").await;
    assert!(store.take_requests(&lease, &[]).await.unwrap().is_empty());
    let result = store.request_result(id).await.unwrap().unwrap();
    assert!(!result.ok);
    assert!(result.message.contains("ask again"), "{}", result.message);
}

#[tokio::test]
async fn a_request_of_a_newer_version_is_refused_and_the_others_are_taken() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    let strange = RequestKind::Resync { resource: Some(Resource::Teams) };
    let strange = store.submit_request(&feed("beaches"), &strange, "ann").await.unwrap();
    store.submit_request(&feed("beaches"), &RequestKind::Pause, "ann").await.unwrap();
    database.run("update replicator.operator_request set resource = 'Starship' where kind = 'resync'").await;
    assert_eq!(store.take_requests(&lease, &[]).await.unwrap().len(), 1);
    let result = store.request_result(strange).await.unwrap().unwrap();
    assert!(!result.ok && result.message.contains("Starship"), "{result:?}");
}

#[tokio::test]
async fn the_newest_metadata_is_in_force_and_five_documents_are_kept() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    assert_eq!(store.metadata(&feed("beaches")).await.unwrap(), None);
    for version in [0, 1, 2, 3, 4, 5, 6, 4] {
        let document = format!("<edmx version='{version}'/>");
        store.save_metadata(&lease, Hash([version; 16]), &document).await.unwrap();
        let stored = store.metadata(&feed("beaches")).await.unwrap().unwrap();
        assert_eq!((stored.hash, stored.document), (Hash([version; 16]), document));
    }
    let kept: i64 = database.ask("select count(*) from replicator.metadata").await;
    assert_eq!(kept, 5);
}
