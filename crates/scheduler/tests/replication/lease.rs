//! One instance per feed, and one budget per key.

use std::time::Duration;

use spark_domain::{Job, Resource};
use spark_scheduler::{OnceProblem, PAGE_ALLOWANCE, Replicator};

use crate::harness::World;

#[tokio::test]
async fn a_second_instance_stands_by_and_takes_over_when_the_first_stops() {
    let world = World::of(40).await;
    let first = world.daemon();
    world
        .until(
            "the first leads",
            "select count(*) = 1 from replicator.lease where expires_at > clock_timestamp()",
        )
        .await;
    let second = world.daemon();
    world.until_downloaded(world.settings.resources.len()).await;
    let epoch: i64 = world.ask("select epoch from replicator.lease").await;
    first.stop_gently();
    first.stopped().await;
    world
        .until(
            "the second leads",
            "select epoch = 2 and expires_at > clock_timestamp() from replicator.lease",
        )
        .await;
    assert_eq!(epoch, 1, "the stand-by took a living lease");
    world.simulator.world().insert_listing();
    world.until("the second replicates", "select count(*) = 41 from mls.property").await;
    second.stop_gently();
    second.stopped().await;
}

#[tokio::test]
async fn a_leader_whose_lease_was_taken_writes_nothing_more() {
    let world = World::of(40).await;
    let paused = world
        .store
        .acquire_lease(world.feed(), "paused leader", Duration::from_millis(300))
        .await
        .unwrap()
        .unwrap();
    world.until("its lease has run out", "select expires_at < clock_timestamp() from replicator.lease").await;
    world.succeed(Job::InitialDownload, Resource::Property).await;
    let lost = world.store.block_feed(&paused, "written by a ghost").await.unwrap_err();
    assert!(lost.is_lease_lost(), "{lost}");
    assert!(!world.store.renew_lease(&paused, Duration::from_secs(5)).await.unwrap());
    let blocked: bool = world.ask("select blocked_at is not null from replicator.feed").await;
    assert!(!blocked);
}

#[tokio::test]
async fn a_command_beside_a_running_daemon_is_told_who_leads() {
    let world = World::of(20).await;
    let daemon = world.daemon();
    world.until("it leads", "select count(*) = 1 from replicator.lease").await;
    let report = world.once(Job::Update, Resource::Property).await;
    assert!(matches!(report.problem, Some(OnceProblem::LeaseHeld(_))), "{:?}", report.problem);
    daemon.stop_gently();
    daemon.stopped().await;
}

#[tokio::test]
async fn two_instances_and_a_restart_never_exceed_the_budget_in_any_window() {
    let mut world = World::of(60).await;
    // Scaled: 40 requests in any 4 seconds.
    let (limit, window) = (40, Duration::from_secs(4));
    world.settings.requests_per_5_minutes = limit;
    world.settings.pace.budget_window = window;
    world.settings.fetcher.page_size = 3;
    let start = || {
        Replicator::start(vec![world.settings.clone()], &world.store, &world.metrics, PAGE_ALLOWANCE).unwrap()
    };
    let (first, second) = (start(), start());
    while world.simulator.journal().requests().len() < 20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    first.stop_now();
    first.stopped().await;
    let third = start();
    while world.simulator.journal().requests().len() < 50 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for daemon in [second, third] {
        daemon.stop_now();
        daemon.stopped().await;
    }
    let most = world.simulator.journal().most_in_any(window);
    assert!(most <= limit as usize, "{most} requests within a window of {limit}");
}
