use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use spark_domain::{Job, RecordKey, Resource};
use spark_simulator::{Fault, Trouble};

use crate::harness::{World, sim};

const PROPERTY: Resource = Resource::Property;

async fn downloaded(listings: usize) -> World {
    let world = World::of(listings).await;
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world
}

async fn cursor(world: &World) -> DateTime<Utc> {
    let update = world.store.checkpoint(world.feed(), PROPERTY, Job::Update).await.unwrap().cursor;
    match update {
        Some(cursor) => cursor,
        None => world
            .store
            .checkpoint(world.feed(), PROPERTY, Job::InitialDownload)
            .await
            .unwrap()
            .cursor
            .unwrap(),
    }
}

#[tokio::test]
async fn what_changed_arrives_and_the_overlap_is_asked_for() {
    let world = downloaded(150).await;
    let before = cursor(&world).await;
    let keys = world.simulator.world().keys(sim(PROPERTY));
    world.simulator.world().set_price(&keys[3], 123_456.0);
    world.simulator.world().set_status(&keys[4], "Closed");
    world.simulator.world().insert_listing();
    world.simulator.journal().clear();
    let report = world.succeed(Job::Update, PROPERTY).await;
    assert_eq!((report.totals.inserted, report.totals.updated), (1, 2));
    world.assert_equal(PROPERTY).await;
    let request = world.last_request("Property", "ModificationTimestamp gt");
    let lower = before - TimeDelta::minutes(20);
    let expected = format!("ModificationTimestamp gt {}", lower.format("%Y-%m-%dT%H:%M:%SZ"));
    assert_eq!(request.param("$filter"), Some(expected.as_str()));
    assert!(request.raw_query.to_lowercase().contains("%20gt%20"), "a space is %20: {}", request.raw_query);
}

#[tokio::test]
async fn the_cursor_is_the_start_of_the_pass_and_moves_only_with_its_last_page() {
    let world = downloaded(150).await;
    let before = cursor(&world).await;
    world.simulator.clock().advance(Duration::from_mins(30));
    world.simulator.world().mass_restamp(sim(PROPERTY));
    let fault = Fault::new(Trouble::error(503, 1510)).on("Property").matching("skiptoken").forever();
    world.simulator.faults().push(fault);
    world.fail(Job::Update, PROPERTY).await;
    assert_eq!(cursor(&world).await, before, "the cursor moved although the pass did not end");
    world.simulator.faults().clear();
    let walk = world.store.checkpoint(world.feed(), PROPERTY, Job::Update).await.unwrap().walk.unwrap();
    world.succeed(Job::Update, PROPERTY).await;
    assert_eq!(
        Some(cursor(&world).await),
        walk.as_of,
        "the cursor is the start of the pass, over its interruption too"
    );
}

#[tokio::test]
async fn a_change_made_while_a_pass_runs_arrives_with_the_next_one() {
    let world = downloaded(250).await;
    world.simulator.world().mass_restamp(sim(PROPERTY));
    let first = world.simulator.world().keys(sim(PROPERTY)).remove(0);
    // The first page has passed the record when it changes behind the read head.
    let fault = Fault::new(Trouble::error(503, 1510)).on("Property").matching("skiptoken").forever();
    world.simulator.faults().push(fault);
    world.fail(Job::Update, PROPERTY).await;
    world.simulator.world().set_price(&first, 77.0);
    world.simulator.faults().clear();
    world.succeed(Job::Update, PROPERTY).await;
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_stale_copy_does_not_replace_a_newer_one_and_the_true_one_arrives_within_the_cache_window() {
    let world = downloaded(30).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(5);
    world.simulator.world().set_price(&key, 1_000.0);
    world.succeed(Job::Update, PROPERTY).await;
    world.simulator.clock().advance(Duration::from_secs(2));
    world.simulator.world().set_price(&key, 2_000.0);
    world.succeed(Job::Update, PROPERTY).await;
    // The cache goes back to the version before.
    let until = world.simulator.clock().now() + TimeDelta::minutes(15);
    world.simulator.world().serve_stale(sim(PROPERTY), &key, until);
    let report = world.succeed(Job::Update, PROPERTY).await;
    assert_eq!(report.totals.updated, 0);
    let price: bool = world.ask("select count(*) = 1 from mls.property where list_price = 2000").await;
    assert!(price, "time ran backwards");
}

#[tokio::test]
async fn an_edit_hidden_by_the_cache_for_nineteen_minutes_is_not_missed() {
    let world = downloaded(30).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(5);
    world.simulator.world().set_price(&key, 4_321.0);
    let until = world.simulator.clock().now() + TimeDelta::minutes(19);
    world.simulator.world().serve_stale(sim(PROPERTY), &key, until);
    for _ in 0..3 {
        world.succeed(Job::Update, PROPERTY).await;
        world.simulator.clock().advance(Duration::from_mins(5));
    }
    let early: i64 = world.ask("select count(*) from mls.property where list_price = 4321").await;
    assert_eq!(early, 0, "the cache should have hidden it");
    world.simulator.clock().advance(Duration::from_mins(4) + Duration::from_secs(30));
    // Postgres' clock did not move; the cursor is never later than it, so the window still reaches back.
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_row_that_surfaces_hours_late_is_caught_by_the_look_back() {
    let world = downloaded(30).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(7);
    world.simulator.world().hold_back(sim(PROPERTY), &key);
    world.execute("delete from mls.property").await;
    world.succeed(Job::Resync, PROPERTY).await;
    let stamp = world.simulator.clock().now() - TimeDelta::hours(20);
    world.simulator.world().release(sim(PROPERTY), &key);
    world.simulator.world().surface_late(&key, stamp);
    world.succeed(Job::Update, PROPERTY).await;
    assert!(!world.keys(PROPERTY).await.contains(&key), "an update of 20 minutes should not reach it");
    world.succeed(Job::Lookback, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_true_rewind_is_accepted_after_two_by_key_reads_a_cache_window_apart() {
    let mut world = downloaded(20).await;
    world.settings.cache_window = Duration::from_millis(400);
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(2);
    world.simulator.world().set_price(&key, 5_555.0);
    world.succeed(Job::Update, PROPERTY).await;
    assert!(world.simulator.world().rewind(&key));
    world.succeed(Job::Resync, PROPERTY).await;
    let reads = || {
        world
            .simulator
            .journal()
            .of("Property")
            .iter()
            .filter(|r| r.keys().is_some_and(|keys| keys.contains(&key)))
            .count()
    };
    for read in 1..=2 {
        world
            .until(
                "the by-key read is due",
                "select count(*) > 0 from replicator.reread where due_at <= clock_timestamp()",
            )
            .await;
        let ours = world.rows(PROPERTY).await[&key].clone();
        assert_eq!(ours["ListPrice"].as_f64(), Some(5_555.0), "accepted before read {read}");
        world.succeed(Job::Update, PROPERTY).await;
    }
    assert_eq!(reads(), 2);
    world.assert_equal(PROPERTY).await;
    let left: i64 = world.ask("select count(*) from replicator.reread").await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_rewind_that_was_edited_over_before_its_second_read_does_not_come_back_from_a_cache() {
    let world = downloaded(20).await;
    let due = "update replicator.reread set due_at = clock_timestamp()";
    let market = world.simulator.world();
    let key = market.keys(sim(PROPERTY)).remove(2);
    market.set_price(&key, 5_555.0);
    world.succeed(Job::Update, PROPERTY).await;
    assert!(market.rewind(&key));
    world.succeed(Job::Resync, PROPERTY).await;
    world.execute(due).await;
    world.succeed(Job::Update, PROPERTY).await;
    let seen: i64 = world.ask("select count(*) from replicator.reread where seen is not null").await;
    assert_eq!(seen, 1, "the first read should have seen the rewind");

    market.set_price(&key, 6_666.0);
    world.succeed(Job::Update, PROPERTY).await;
    assert!(market.serve_stale(sim(PROPERTY), &key, world.simulator.clock().now() + TimeDelta::minutes(10)));
    world.execute(due).await;
    world.succeed(Job::Update, PROPERTY).await;
    let kept: bool = world.ask("select count(*) = 1 from mls.property where list_price = 6666").await;
    assert!(kept, "a copy of the past replaced the newest one");

    market.release(sim(PROPERTY), &key);
    world.execute(due).await;
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_gap_of_days_is_taken_in_slices_that_each_move_the_cursor() {
    let world = downloaded(40).await;
    world.execute("update replicator.checkpoint set cursor_at = clock_timestamp() - interval '60 hours' where job = 'initial_download'").await;
    world.simulator.journal().clear();
    world.succeed(Job::Update, PROPERTY).await;
    let filters: Vec<String> = world
        .simulator
        .journal()
        .of("Property")
        .iter()
        .filter(|r| r.after().is_none())
        .filter_map(|r| r.param("$filter").map(str::to_owned))
        .collect();
    assert_eq!(filters.len(), 3, "{filters:?}");
    assert!(
        filters[0].contains(" le ") && filters[1].contains(" le ") && !filters[2].contains(" le "),
        "{filters:?}"
    );
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_feed_out_of_sync_holds_the_cursor_and_orders_a_look_back_at_the_third_time() {
    let world = downloaded(40).await;
    let before = cursor(&world).await;
    world.simulator.faults().push(Fault::new(Trouble::d(503, 1024)).on("Property").forever());
    for pass in 1..=2 {
        world.fail(Job::Update, PROPERTY).await;
        let checkpoint = world.store.checkpoint(world.feed(), PROPERTY, Job::Update).await.unwrap();
        assert_eq!((checkpoint.unsynced_passes, cursor(&world).await), (pass, before));
    }
    world.fail(Job::Update, PROPERTY).await;
    let ordered: bool = world
        .ask("select due_at is not null from replicator.checkpoint where job = 'lookback' and resource = 'Property'")
        .await;
    assert!(ordered, "no look-back was ordered");
    world.simulator.faults().clear();
    world.simulator.world().insert_listing();
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn unchanged_pages_leave_no_dead_tuple_in_mls() {
    let world = downloaded(100).await;
    world.simulator.world().mass_restamp(sim(PROPERTY));
    world.succeed(Job::Update, PROPERTY).await;
    let state = "select md5(string_agg(ctid::text || xmin::text || coalesce(xmax::text, ''), ',' order by key)) from mls.property";
    let before: String = world.ask(state).await;
    let again = world.succeed(Job::Update, PROPERTY).await;
    assert_eq!((again.totals.updated, again.totals.unchanged), (0, 100));
    let after: String = world.ask(state).await;
    assert_eq!(before, after, "rows were locked or written");
}

#[tokio::test]
async fn one_poison_record_is_quarantined_and_its_page_lands() {
    let world = World::of(120).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(50);
    world.simulator.world().set_raw_field(sim(PROPERTY), &key, "ListPrice", "1e200000");
    let other = world.simulator.world().keys(sim(PROPERTY)).remove(51);
    world.simulator.world().set_raw_field(sim(PROPERTY), &other, "PublicRemarks", r#""a\u0000b\ud83dc""#);
    world.succeed(Job::InitialDownload, PROPERTY).await;
    assert_eq!(world.keys(PROPERTY).await.len(), 119);
    assert_eq!(world.rows(PROPERTY).await[&other]["PublicRemarks"], "a\u{fffd}b\u{fffd}c");
    let quarantined = world.store.quarantine(world.feed(), 10).await.unwrap();
    assert_eq!(quarantined.len(), 1);
    assert_eq!(quarantined[0].key, RecordKey::new(&key).ok());
    // Healed upstream, it lands and leaves quarantine.
    world.simulator.world().set_price(&key, 10.0);
    world.succeed(Job::Update, PROPERTY).await;
    assert!(world.store.quarantine(world.feed(), 10).await.unwrap().is_empty());
    assert_eq!(world.keys(PROPERTY).await.len(), 120);
}
