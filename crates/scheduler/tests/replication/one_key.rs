//! One key, one budget: whoever shares it keeps its limit together, and falls silent together.

use std::time::Duration;

use spark_domain::{Job, Resource};
use spark_scheduler::{FeedSettings, PAGE_ALLOWANCE, Replicator};
use spark_simulator::{Fault, Trouble};
use spark_store::{Settings as StoreSettings, Store};

use crate::harness::{World, settings};

const PROPERTY: Resource = Resource::Property;
const DOWNLOADED: &str =
    "select count(*) = 2 and bool_and(initial_download_completed_at is not null) from replicator.resource";

/// Another feed on the same server with the same token.
fn twin(world: &World, name: &str) -> FeedSettings {
    FeedSettings { resources: vec![PROPERTY], ..settings(&world.simulator, name) }
}

async fn share(world: &World) -> f64 {
    world.ask("select share from replicator.request_budget").await
}

#[tokio::test]
async fn a_refusal_met_by_one_feed_silences_all_that_share_its_key_and_slows_them_down() {
    for silence in [
        Trouble::throttle(Some("3")),
        Trouble::Answer { status: 429, content_type: "text/plain", body: String::new() },
    ] {
        let world = World::of(40).await;
        let mut feeds = vec![twin(&world, "one"), twin(&world, "two")];
        for feed in &mut feeds {
            feed.fetcher.retry.throttled_silence = Duration::from_secs(3);
            feed.update_every = Duration::from_millis(100);
        }
        let daemon = Replicator::start(feeds, &world.store, &world.metrics, PAGE_ALLOWANCE).unwrap();
        world.until("both are downloaded", DOWNLOADED).await;
        world.simulator.faults().push(Fault::new(silence).on("Property"));
        world
            .until(
                "the key is silent",
                "select silent_until > clock_timestamp() from replicator.request_budget",
            )
            .await;
        world.simulator.journal().clear();
        world
            .until(
                "the silence is over",
                "select silent_until + interval '300 ms' < clock_timestamp() from replicator.request_budget",
            )
            .await;
        let early: Vec<_> = world.simulator.journal().requests();
        let over = world.simulator.clock().now();
        assert!(
            early.iter().all(|request| (over - request.at).num_milliseconds() < 1_500),
            "asked during the silence: {early:?}"
        );
        world
            .simulator
            .journal()
            .wait_for(|_| true, Duration::from_secs(20))
            .await
            .expect("it fell silent for good");
        daemon.stop_gently();
        daemon.stopped().await;
        assert!((share(&world).await - 0.7).abs() < 1e-6);
    }
}

#[tokio::test]
async fn a_key_that_was_slowed_down_is_slow_for_the_next_daemon_too_and_says_so() {
    let mut world = World::of(200).await;
    world.settings.fetcher.page_size = 25;
    world.simulator.faults().push(Fault::new(Trouble::throttle(Some("0"))).on("Property"));
    world.succeed(Job::InitialDownload, PROPERTY).await;
    assert!((share(&world).await - 0.7).abs() < 1e-6);
    // Another process on the same database: a store of its own, metrics of its own.
    let store = Store::connect(&StoreSettings { url: world.url.clone(), max_connections: 4 }).unwrap();
    let state = store.budget_state(world.feed()).await.unwrap().unwrap();
    assert!((0.7..0.71).contains(&state.share), "{state:?}");
    let (_, spent) = state.throttled.expect("the refusal is not known");
    assert!(spent < 20, "{spent} requests were counted before the first refusal");
    world.execute("update replicator.request_budget set share = 0.5, share_at = clock_timestamp()").await;
    world.succeed(Job::Resync, PROPERTY).await;
    let shown = world.metrics.render().unwrap();
    assert!(shown.contains("spark_replicator_api_rate_limit_share{feed=\"beaches\"} 0.5"), "{shown}");
}

#[tokio::test]
async fn feeds_that_share_a_key_come_forward_side_by_side_within_its_limit() {
    let world = World::of(600).await;
    let mut feeds = vec![twin(&world, "one"), twin(&world, "two")];
    for feed in &mut feeds {
        feed.fetcher.page_size = 25;
        feed.requests_per_5_minutes = 6_000;
    }
    let began = std::time::Instant::now();
    let daemon = Replicator::start(feeds, &world.store, &world.metrics, PAGE_ALLOWANCE).unwrap();
    world
        .until(
            "one of them is downloaded",
            "select bool_or(initial_download_completed_at is not null) from replicator.resource",
        )
        .await;
    let behind: i64 = world
        .ask("select min(held) from (select count(*) as held from mls.property group by feed) as feeds")
        .await;
    assert!(behind > 200, "the other feed has only {behind} of 600 records");
    world.until("both are", DOWNLOADED).await;
    let asked = world.simulator.journal().requests().len();
    daemon.stop_gently();
    daemon.stopped().await;
    // 52 ms lie between two slots of the key.
    let most = began.elapsed().as_millis() / 52 + 10;
    assert!(asked as u128 <= most, "{asked} requests where {most} were allowed");
}

#[tokio::test]
async fn a_daemon_with_another_limit_for_the_same_key_is_noticed() {
    let world = World::of(20).await;
    let (one, mut two) = (twin(&world, "one"), twin(&world, "two"));
    two.requests_per_5_minutes = 4_000;
    let first = Replicator::start(vec![one], &world.store, &world.metrics, PAGE_ALLOWANCE).unwrap();
    let second = Replicator::start(vec![two], &world.store, &world.metrics, PAGE_ALLOWANCE).unwrap();
    world.until("both are downloaded", DOWNLOADED).await;
    let state = world.store.budget_state(&"one".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(state.rivals.len(), 1, "{state:?}");
    assert_eq!((state.rivals[0].feed.as_str(), state.rivals[0].limit), ("two", 4_000));
    for daemon in [first, second] {
        daemon.stop_gently();
        daemon.stopped().await;
    }
}

#[tokio::test]
async fn a_daemon_with_the_same_limit_is_noticed_too_and_feeds_of_one_daemon_are_not() {
    let world = World::of(20).await;
    let (one, two, three) = (twin(&world, "one"), twin(&world, "two"), twin(&world, "three"));
    let start = |feeds| Replicator::start(feeds, &world.store, &world.metrics, PAGE_ALLOWANCE).unwrap();
    let (first, second) = (start(vec![one, two]), start(vec![three]));
    let downloaded = "select count(*) = 3 and bool_and(initial_download_completed_at is not null) from replicator.resource";
    world.until("all are downloaded", downloaded).await;
    for (feed, rivals) in [("one", vec!["three"]), ("three", vec!["one", "two"])] {
        let state = world.store.budget_state(&feed.parse().unwrap()).await.unwrap().unwrap();
        let known: Vec<_> = state.rivals.iter().map(|rival| rival.feed.as_str()).collect();
        assert_eq!(known, rivals, "of {feed}");
        assert!(state.rivals.iter().all(|rival| rival.elsewhere), "{state:?}");
    }
    for daemon in [first, second] {
        daemon.stop_gently();
        daemon.stopped().await;
    }
}
