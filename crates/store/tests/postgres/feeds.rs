//! Feeds and resources: what is noted about them, and how stale they are said to be.

use spark_domain::walk::Paging;
use spark_domain::{Checkpoint, Job, KeyListForm, Resource, Walk};
use spark_store::{FeedRegistration, FeedState, Lease, Outcome, ResourceState, RunEnd, RunTotals};

use crate::harness::{Database, feed};

const FEED: FeedRegistration<'_> = FeedRegistration {
    api: "reso",
    base_url: "https://feed.example/Reso/OData",
    configuration: "filter=City eq 'A'",
    resources: &[Resource::Property, Resource::Office],
};

async fn resource(database: &Database, resource: Resource) -> ResourceState {
    let states = database.store.resources(&feed("beaches")).await.unwrap();
    states.into_iter().find(|state| state.resource == resource).unwrap()
}

async fn why(database: &Database) -> String {
    let rows = database.store.freshness().await.unwrap();
    rows.into_iter().find(|row| row.resource == Resource::Property).unwrap().why
}

#[tokio::test]
async fn a_configuration_stays_until_it_is_replaced_on_purpose() {
    let database = Database::migrated().await;
    let store = &database.store;
    assert_eq!(store.feed_state(&feed("beaches")).await.unwrap(), None);
    let lease = database.feed("beaches").await;
    let changed = FeedRegistration { configuration: "filter=City eq 'B'", ..FEED };
    for _ in 0..2 {
        let before = store.register_feed(&lease, &changed).await.unwrap();
        assert_eq!(before.configuration.as_deref(), Some("filter="), "the change shows at every start");
    }
    store.set_configuration(&lease, changed.configuration).await.unwrap();
    let before = store.register_feed(&lease, &changed).await.unwrap();
    assert_eq!(before.configuration.as_deref(), Some("filter=City eq 'B'"));
}

#[tokio::test]
async fn only_configured_resources_are_shown_and_the_others_come_back_as_they_were() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    store.turn_off_resource(&lease, Resource::Member, "1500").await.unwrap();
    store.register_feed(&lease, &FEED).await.unwrap();
    let names: Vec<_> =
        store.resources(&feed("beaches")).await.unwrap().into_iter().map(|state| state.resource).collect();
    assert_eq!(names, FEED.resources);
    assert_eq!(store.freshness().await.unwrap().len(), 2);
    database.feed("beaches").await;
    assert_eq!(resource(&database, Resource::Member).await.off.unwrap().reason, "1500");
}

#[tokio::test]
async fn the_first_of_several_refusals_and_blockings_counts() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    let first = store.note_refusal(&lease).await.unwrap();
    assert_eq!(store.note_refusal(&lease).await.unwrap(), first);
    store.block_feed(&lease, "401 token expired").await.unwrap();
    let blocked = state(&database).await.blocked.unwrap();
    store.block_feed(&lease, "403 key disabled").await.unwrap();
    let again = state(&database).await.blocked.unwrap();
    assert_eq!((again.at, again.reason.as_str()), (blocked.at, "403 key disabled"));
    store.unblock_feed(&lease).await.unwrap();
    let free = state(&database).await;
    assert_eq!((free.blocked, free.refused_at), (None, None));
}

#[tokio::test]
async fn a_paused_feed_says_who_did_it() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    store.pause_feed(&lease, "ann").await.unwrap();
    assert_eq!(state(&database).await.paused.unwrap().by, "ann");
    store.note_clock_skew(&lease, -1.5).await.unwrap();
    store.resume_feed(&lease).await.unwrap();
    let resumed = state(&database).await;
    assert_eq!((resumed.paused, resumed.clock_skew_seconds), (None, Some(-1.5)));
}

#[tokio::test]
async fn what_was_learned_about_a_resource_is_kept() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    let fresh = resource(&database, Resource::Property).await;
    assert_eq!((fresh.paging, fresh.key_form, fresh.ever_answered), (None, None, false));
    for paging in [Paging::Key, Paging::NextLink] {
        store.set_paging(&lease, Resource::Property, Some(paging)).await.unwrap();
        assert_eq!(resource(&database, Resource::Property).await.paging, Some(paging));
    }
    for form in [KeyListForm::In, KeyListForm::EqOr, KeyListForm::Single] {
        store.set_key_form(&lease, Resource::Property, form).await.unwrap();
        assert_eq!(resource(&database, Resource::Property).await.key_form, Some(form));
    }
    store.turn_off_resource(&lease, Resource::Property, "1500").await.unwrap();
    assert_eq!(resource(&database, Resource::Property).await.off.unwrap().reason, "1500");
    store.turn_on_resource(&lease, Resource::Property).await.unwrap();
    assert_eq!(resource(&database, Resource::Property).await.off, None);
    assert_eq!(
        resource(&database, Resource::Office).await,
        ResourceState { resource: Resource::Office, ..fresh }
    );
}

#[tokio::test]
async fn the_same_count_gap_is_counted_and_another_begins_anew() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let mut rows = Vec::new();
    for gap in [Some(7), Some(7), Some(7), Some(8), None, Some(8)] {
        rows.push(database.store.note_count_gap(&lease, Resource::Property, gap).await.unwrap());
    }
    assert_eq!(rows, [1, 2, 3, 1, 0, 1]);
}

#[tokio::test]
async fn freshness_says_in_words_what_keeps_a_resource_behind() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    assert_eq!(why(&database).await, "the first download has not begun");

    let mut walk = Walk::begin(store.now().await.unwrap(), None, 100);
    (walk.records, walk.pages, walk.expected) = (1200, 12, Some(5000));
    let checkpoint = Checkpoint { walk: Some(walk), ..Checkpoint::default() };
    store.save_checkpoint(&lease, Resource::Property, Job::InitialDownload, &checkpoint).await.unwrap();
    assert_eq!(why(&database).await, "first download under way: 1200 of 5000 records");
    let row = store.freshness().await.unwrap().remove(0);
    assert_eq!(
        (row.resource, row.download_processed, row.download_expected),
        (Resource::Property, Some(1200), Some(5000))
    );
    assert!(row.download_began_at.is_some() && row.download_progress_at >= row.download_began_at, "{row:?}");
    assert!(resource(&database, Resource::Property).await.ever_answered);

    let completed =
        "update replicator.resource set initial_download_completed_at = now(), complete_through_at = now()";
    database.run(completed).await;
    assert_eq!(why(&database).await, "in step");
    fail(&database, &lease).await;
    assert_eq!(why(&database).await, "update failed 1 times in a row: HTTP 502 from the feed");
    store.turn_off_resource(&lease, Resource::Property, "1500 no role for it").await.unwrap();
    assert_eq!(why(&database).await, "turned off: 1500 no role for it");
    store.block_feed(&lease, "401").await.unwrap();
    assert_eq!(why(&database).await, "feed blocked: 401");
    store.pause_feed(&lease, "ann").await.unwrap();
    assert!(why(&database).await.starts_with("paused by ann at 20"), "{}", why(&database).await);
    store.resume_feed(&lease).await.unwrap();
    store.unblock_feed(&lease).await.unwrap();
    store.turn_on_resource(&lease, Resource::Property).await.unwrap();
    store.release_lease(&lease).await.unwrap();
    assert_eq!(why(&database).await, "no replicator holds the feed");
}

#[tokio::test]
async fn a_refused_plan_shows_until_it_is_approved_and_when_the_approval_has_ended() {
    let database = Database::migrated().await;
    database.feed("beaches").await;
    database
        .run(
            "insert into replicator.purge_plan (feed, resource, sweep, began_at, rows_held, listed, refusal, \
              explanation, keys, hashes, modified_ats, ended) \
              values ('beaches', 'Property', 1, now(), 900, 400, 'max_ratio', 'too many', '{}', '{}', '{}', '{}')",
        )
        .await;
    let refusal = async || database.store.freshness().await.unwrap().remove(0).plan_refusal;
    assert_eq!(refusal().await.as_deref(), Some("max_ratio"));
    let plans = database.store.open_plans().await.unwrap();
    assert_eq!((plans.len(), plans[0].refusal.as_deref(), plans[0].rows_held), (1, Some("max_ratio"), 900));
    for (ends, shown) in [("1 hour", None), ("-1 hour", Some("max_ratio"))] {
        let approve = format!(
            "update replicator.purge_plan set approved_by = 'ann', approved_at = now(), \
             approval_expires_at = now() + interval '{ends}'"
        );
        database.run(&approve).await;
        assert_eq!(refusal().await.as_deref(), shown);
    }
}

async fn fail(database: &Database, lease: &Lease) {
    let run = database.store.begin_run(lease, Resource::Property, Job::Update).await.unwrap();
    let end = RunEnd {
        outcome: Outcome::Failed,
        reason: Some("upstream"),
        message: Some("HTTP 502 from the feed"),
        due_at: None,
        totals: RunTotals::default(),
    };
    database.store.end_run(lease, run, &end).await.unwrap();
}

async fn state(database: &Database) -> FeedState {
    database.store.feed_state(&feed("beaches")).await.unwrap().unwrap()
}
