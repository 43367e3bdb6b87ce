//! Postgres away: we wait, nothing is fetched twice, nothing is lost.

use std::time::Duration;

use spark_domain::{Job, Resource};
use spark_simulator::postgres::{Settings, ThrowAwayPostgres};
use spark_store::{Settings as StoreSettings, Store};

use crate::harness::{PATIENCE, World, small};

const PROPERTY: Resource = Resource::Property;

/// A world on a Postgres of its own, which may be killed without harm to other tests.
async fn world_of_its_own(listings: usize) -> (World, ThrowAwayPostgres) {
    let server = tokio::task::spawn_blocking(|| {
        ThrowAwayPostgres::start_with(Settings { durable: true, ..Settings::default() })
    })
    .await
    .unwrap()
    .unwrap_or_else(|error| panic!("{error}"));
    server.create_database("mls", None).unwrap();
    let url = server.url("mls");
    let store = Store::connect(&StoreSettings { url: url.clone(), max_connections: 2 }).unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    (World::at(small(listings), url).await, server)
}

#[tokio::test]
async fn postgres_killed_and_restarted_in_the_middle_of_a_pass_loses_nothing_and_fetches_nothing_twice() {
    let (mut world, server) = world_of_its_own(600).await;
    world.settings.fetcher.page_size = 25;
    // On a busy machine an answer may be late, and would be asked for again for that.
    world.settings.fetcher.timeouts.read = PATIENCE;
    world.settings.resources = vec![PROPERTY];
    let daemon = world.daemon();
    world.until("a few pages are in", "select count(*) >= 75 from mls.property").await;
    server.kill();
    let silent = world.simulator.journal().requests().len();
    server.start_again().unwrap();
    world.until("the download is complete", "select initial_download_completed_at is not null from replicator.resource where resource = 'Property'").await;
    daemon.stop_gently();
    daemon.stopped().await;
    world.assert_equal(PROPERTY).await;
    let tokens: Vec<String> = world
        .simulator
        .journal()
        .of("Property")
        .iter()
        .filter(|r| {
            r.param("$filter").is_none() && r.param("$expand").is_none() && r.param("$count").is_none()
        })
        .filter_map(|r| r.param("$skiptoken").map(str::to_owned))
        .collect();
    let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
    assert_eq!(
        distinct.len(),
        tokens.len(),
        "a page was fetched twice; {silent} requests had been made at the kill"
    );
}

#[tokio::test]
async fn a_daemon_that_starts_before_postgres_waits_for_it() {
    let (world, server) = world_of_its_own(30).await;
    server.kill();
    let daemon = world.daemon();
    let before = daemon.ticks();
    while daemon.ticks() == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.start_again().unwrap();
    world.until_downloaded(world.settings.resources.len()).await;
    daemon.stop_gently();
    daemon.stopped().await;
    world.assert_equal(PROPERTY).await;
    world.once(Job::Update, PROPERTY).await;
}
