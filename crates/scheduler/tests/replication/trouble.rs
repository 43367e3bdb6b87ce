//! Trouble stays where it is, and is seen.

use std::time::Duration;

use spark_domain::{Job, Resource};
use spark_fetcher::TokenSource;
use spark_scheduler::{PAGE_ALLOWANCE, Replicator};
use spark_simulator::{Dialect, Entry, Fault, Simulator, Trouble};

use crate::DIALECT;
use crate::harness::{World, settings, small};

const PROPERTY: Resource = Resource::Property;

#[tokio::test]
async fn a_repeated_link_ends_the_walk() {
    let mut world = World::of(300).await;
    world.settings.fetcher.page_size = 50;
    world
        .simulator
        .faults()
        .push(Fault::new(Trouble::RepeatedLink).on("Property").matching("skiptoken").forever());
    let problem = world.fail(Job::InitialDownload, PROPERTY).await;
    assert!(problem.contains("circle"), "{problem}");
}

#[tokio::test]
async fn relative_links_empty_pages_doubled_and_reversed_records_do_no_harm() {
    let mut world = World::of(400).await;
    world.settings.fetcher.page_size = 60;
    let mut troubles = vec![Trouble::RelativeLink, Trouble::Doubled, Trouble::Reversed];
    if DIALECT == Dialect::Reso {
        // To the native API an empty page is the end.
        troubles.push(Trouble::EmptyPage);
    }
    for trouble in troubles {
        world.simulator.faults().push(Fault::new(trouble).on("Property").nth(2).times(2));
    }
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn html_empty_and_cut_bodies_resets_and_stalls_are_survived() {
    let mut world = World::of(300).await;
    world.settings.fetcher.page_size = 50;
    let troubles = [
        Trouble::html(),
        Trouble::empty(),
        Trouble::CutShort { after: 900 },
        Trouble::Truncate { after: 900 },
        Trouble::Reset,
        Trouble::ResetWithin { after: 900 },
        Trouble::throttle(Some("0")),
        Trouble::error(503, 1510),
        Trouble::d(500, 1026),
    ];
    for trouble in troubles {
        world.simulator.faults().push(Fault::new(trouble).on("Property"));
    }
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_refused_token_blocks_its_feed_shows_and_heals() {
    let world = World::of(40).await;
    let daemon = world.daemon();
    world.until_downloaded(world.settings.resources.len()).await;
    world.simulator.faults().push(Fault::new(Trouble::d(401, 1000)).forever());
    world.until("the feed is blocked", "select blocked_at is not null from replicator.feed").await;
    let why: bool = world.ask("select bool_or(why like 'feed blocked%') from replicator.freshness").await;
    assert!(why, "the view does not say so");
    // Blocked means quiet: once what was on its way has arrived, only probes ask.
    let journal = world.simulator.journal();
    for _ in 0..3 {
        journal.clear();
        let probe = |entry: &Entry| entry.param("$top") == Some("1");
        journal.wait_for(probe, Duration::from_secs(20)).await.expect("no probe came");
    }
    let asked = journal.requests();
    assert_eq!(asked.iter().map(|entry| entry.param("$top")).collect::<Vec<_>>(), [Some("1")]);
    world.simulator.faults().clear();
    world.until("the feed is unblocked", "select blocked_at is null from replicator.feed").await;
    let key = world.simulator.world().insert_listing();
    world.until("changes arrive again", "select count(*) = 41 from mls.property").await;
    assert!(world.keys(PROPERTY).await.contains(&key));
    daemon.stop_gently();
    daemon.stopped().await;
}

#[tokio::test]
async fn a_daemon_that_takes_over_a_blocked_feed_with_another_token_tries_it_at_once_and_until_it_is_answered()
 {
    let mut world = World::of(20).await;
    world.settings.pace.probe_every = Duration::from_hours(1);
    let daemon = world.daemon();
    world.until_downloaded(world.settings.resources.len()).await;
    world.simulator.set_token("the-token-issued-anew");
    world.until("the feed is blocked", "select blocked_at is not null from replicator.feed").await;
    daemon.stop_gently();
    daemon.stopped().await;

    world.simulator.journal().clear();
    // The first question with it never gets through.
    let attempts = world.settings.fetcher.retry.attempts;
    world.simulator.faults().push(Fault::new(Trouble::Reset).times(attempts.into()));
    world.settings.fetcher.token = TokenSource::Text("the-token-issued-anew".into());
    let daemon = world.daemon();
    world.until("the feed is unblocked", "select blocked_at is null from replicator.feed").await;
    daemon.stop_gently();
    daemon.stopped().await;
}

#[tokio::test]
async fn a_resource_that_the_key_may_not_see_is_turned_off_alone() {
    let world = World::of(40).await;
    world.simulator.faults().push(Fault::new(Trouble::error(403, 1500)).on("OpenHouse").forever());
    let daemon = world.daemon();
    world.until_downloaded(world.settings.resources.len() - 1).await;
    world
        .until(
            "the resource is turned off",
            "select bool_or(resource = 'OpenHouse' and off_reason like '%1500%') from replicator.resource",
        )
        .await;
    daemon.stop_gently();
    daemon.stopped().await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_dead_feed_stops_no_other() {
    let world = World::of(40).await;
    let mut dead = Simulator::start(small(5)).await.unwrap();
    let mut dead_settings = settings(&dead, "dead");
    dead.stop().await;
    dead_settings.fetcher.base_url = "http://127.0.0.1:9/Version/3/Reso/OData".parse().unwrap();
    let feeds = vec![dead_settings, world.settings.clone()];
    let daemon = Replicator::start(feeds, &world.store, &world.metrics, PAGE_ALLOWANCE).unwrap();
    world.until_downloaded(world.settings.resources.len()).await;
    world
        .until(
            "the dead feed says why",
            "select bool_or(reason = 'network') from replicator.job_run where feed = 'dead'",
        )
        .await;
    daemon.stop_gently();
    daemon.stopped().await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_moving_market_comes_to_rest_in_equality() {
    let settings = spark_simulator::Settings {
        market: Some(spark_simulator::MarketSettings { moves_per_minute: 1_200.0 }),
        ..small(300)
    };
    let mut world = World::start(settings).await;
    world.settings.cache_window = Duration::from_secs(1);
    let daemon = world.daemon();
    world.until("the market has moved under a complete download", "select count(*) > 3 from replicator.job_run where job = 'update' and resource = 'Property' and updated + inserted > 0").await;
    world.simulator.market().pause();
    daemon.stop_gently();
    daemon.stopped().await;
    world.execute("update mls.property set first_seen_at = first_seen_at - interval '1 hour', written_at = written_at - interval '1 hour'").await;
    world.settings.purge_guard.small_ratio = 1.0;
    world.settings.purge_guard.ratio = 1.0;
    for job in [Job::Update, Job::Purge, Job::Update, Job::MediaRefresh] {
        world.succeed(job, PROPERTY).await;
    }
    world
        .until(
            "nothing is due later",
            "select count(*) = 0 from replicator.relation_set where due_at > clock_timestamp()",
        )
        .await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
    world.assert_media_equal().await;
}
