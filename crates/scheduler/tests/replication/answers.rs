//! What the feed refuses, and what follows: for one expansion, one record, one page, one question.

use std::time::Duration;

use spark_domain::{EntityEvent, Job, RecordKey, Relation, Resource};
use spark_simulator::{Fault, PhotoChange, Trouble};

use crate::harness::{World, sim};

const PROPERTY: Resource = Resource::Property;

/// A refusal in both of Spark's shapes.
fn both(status: u16, code: i64) -> [Trouble; 2] {
    [Trouble::d(status, code), Trouble::error(status, code)]
}

/// A refusal that no body explains.
fn bare(status: u16) -> Trouble {
    Trouble::Answer { status, content_type: "text/plain", body: String::new() }
}

pub(crate) async fn filled(listings: usize) -> World {
    let world = World::of(listings).await;
    for job in [Job::Metadata, Job::InitialDownload, Job::MediaRefresh] {
        if world.settings.has(job, PROPERTY) {
            world.succeed(job, PROPERTY).await;
        }
    }
    world
}

fn expansion_off(trouble: Trouble, relation: &str) -> Fault {
    Fault::new(trouble).on("Property").matching("$expand").matching(relation).forever()
}

#[tokio::test]
async fn an_expansion_that_is_off_is_found_among_several_and_left_out_alone() {
    for refusal in both(403, 1505) {
        let world = filled(30).await;
        let rooms: i64 = world.ask("select count(*) from mls.room").await;
        world.simulator.faults().push(expansion_off(refusal, "Room"));
        let key = world.simulator.world().keys(sim(PROPERTY)).remove(3);
        world.simulator.world().change_photos(&key, PhotoChange::Replace);
        let units = [serde_json::json!({"UnitTypeKey": "U-9", "UnitTypeType": "Loft"})];
        world.simulator.world().set_relation(sim(PROPERTY), &key, "Unit", &units);
        world.succeed(Job::Update, PROPERTY).await;
        world.succeed(Job::MediaRefresh, PROPERTY).await;
        world.assert_equal(PROPERTY).await;
        world.assert_media_equal().await;
        world.assert_relation_equal(PROPERTY, &key, Relation::Unit).await;
        let off: String = world
            .ask("select string_agg(resource || ' ' || relation || ' ' || (off_reason like '%1505%'), ';') from replicator.expansion")
            .await;
        assert_eq!(off, "Property Room true");
        let turned_off: bool = world.ask("select bool_or(off_at is not null) from replicator.resource").await;
        assert!(!turned_off, "an expansion took its resource along");
        assert_eq!(
            world.ask::<i64>("select count(*) from mls.room").await,
            rooms,
            "a fetched set did not stay"
        );
        world.simulator.journal().clear();
        world.simulator.world().set_price(&key, 7.0);
        world.succeed(Job::Update, PROPERTY).await;
        assert_eq!(world.last_request("Property", "$expand").param("$expand"), Some("Unit"));
    }
}

#[tokio::test]
async fn a_relation_that_the_feed_does_not_know_is_left_out_alone_and_shown() {
    let world = World::of(30).await;
    let unknown = Fault::new(bare(400)).on("Property").matching("$expand").matching("Unit");
    world.simulator.faults().push(unknown.forever());
    for job in [Job::InitialDownload, Job::MediaRefresh] {
        world.succeed(job, PROPERTY).await;
    }
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(3);
    world.simulator.world().change_photos(&key, PhotoChange::Replace);
    world.succeed(Job::Update, PROPERTY).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
    world.assert_media_equal().await;
    world.assert_relation_equal(PROPERTY, &key, Relation::Room).await;
    let left_out: String =
        world.ask("select string_agg(relation || ' ' || off_reason, ';') from replicator.expansion").await;
    assert!(left_out.starts_with("Unit ") && left_out.contains("400"), "{left_out}");
    let form: Option<String> =
        world.ask("select key_form from replicator.resource where resource = 'Property'").await;
    assert_eq!(form, None, "the form of key lists was not to blame");
}

#[tokio::test]
async fn a_key_that_the_feed_refuses_holds_up_no_other_and_changes_no_form() {
    let mut world = filled(40).await;
    world.settings.cache_window = Duration::from_millis(200);
    let keys = world.simulator.world().keys(sim(PROPERTY));
    for key in &keys[..9] {
        world.simulator.world().change_photos(key, PhotoChange::Replace);
    }
    world.succeed(Job::Update, PROPERTY).await;
    // As a server does that looks at the form of a key first.
    world.simulator.faults().push(Fault::new(bare(400)).on("Property").matching(&keys[4]).forever());
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    for key in keys[..9].iter().filter(|key| **key != keys[4]) {
        world.assert_relation_equal(PROPERTY, key, Relation::Media).await;
    }
    let reported: String =
        world.ask("select string_agg(key || ' ' || reason, ';') from replicator.quarantine").await;
    assert_eq!(reported, format!("{} undeliverable", keys[4]));

    let events = [keys[4].as_str(), keys[20].as_str(), "test"].map(|key| EntityEvent {
        resource: PROPERTY,
        key: RecordKey::new(key).unwrap(),
        sequence: None,
    });
    world.simulator.faults().push(Fault::new(bare(400)).on("Property").matching("'test'").forever());
    world.store.receive_events(world.feed(), &events, 100).await.unwrap();
    world.simulator.world().set_price(&keys[20], 7.0);
    world.settings.update_every = Duration::from_hours(1);
    let daemon = world.daemon();
    world.until("the inbox is empty", "select count(*) = 0 from replicator.event").await;
    assert_eq!(world.rows(PROPERTY).await[&keys[20]]["ListPrice"], 7.0);
    daemon.stop_gently();
    daemon.stopped().await;
    let form: Option<String> =
        world.ask("select key_form from replicator.resource where resource = 'Property'").await;
    assert_eq!(form, None, "the form of key lists was not to blame");
}

#[tokio::test]
async fn an_expansion_that_is_back_after_a_day_is_filled_for_all_that_came_meanwhile() {
    let mut world = World::of(30).await;
    world.simulator.faults().push(expansion_off(Trouble::d(403, 1505), "Media"));
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    let (rooms, media): (i64, i64) =
        (world.ask("select count(*) from mls.room").await, world.ask("select count(*) from mls.media").await);
    assert!(rooms > 0 && media == 0, "{rooms} rooms, {media} media");
    world.simulator.faults().clear();
    world.simulator.world().insert_listing();
    world.settings.resources = vec![PROPERTY];
    world.settings.daily_every = Duration::from_secs(2);
    let daemon = world.daemon();
    world.until("it is asked for again", "select count(*) = 0 from replicator.expansion").await;
    world
        .until(
            "all of it is fetched",
            "select count(*) = 31 from replicator.relation_set where resource = 'Property' and relation = 'Media' \
             and fetched is not null",
        )
        .await;
    daemon.stop_gently();
    daemon.stopped().await;
    world.assert_media_equal().await;
}

#[tokio::test]
async fn a_record_that_breaks_its_page_is_stepped_over_reported_and_taken_once_it_can_be() {
    let mut world = World::of(130).await;
    world.settings.cache_window = Duration::from_millis(200);
    let keys = world.simulator.world().keys(sim(PROPERTY));
    let bad = ["0", "61", "129"].map(|at| keys[at.parse::<usize>().unwrap()].clone());
    for key in &bad {
        let fault = Fault::new(Trouble::BadRecord(key.clone())).on("Property").unless("$select=ListingKey");
        world.simulator.faults().push(fault.forever());
    }
    world.succeed(Job::InitialDownload, PROPERTY).await;
    let ours = world.keys(PROPERTY).await;
    assert!(
        keys.iter().all(|key| ours.contains(key) != bad.contains(key)),
        "{} of {}",
        ours.len(),
        keys.len()
    );
    let reported: i64 = world
        .ask("select count(*) from replicator.quarantine where reason = 'undeliverable' and message like '%1026%'")
        .await;
    assert_eq!(reported, 3);

    // It changes among others: they arrive, and it is still only reported.
    for key in &keys[55..70] {
        world.simulator.world().set_price(key, 9.0);
    }
    let new = world.simulator.world().insert_listing();
    world.succeed(Job::Update, PROPERTY).await;
    let ours = world.rows(PROPERTY).await;
    assert!(ours.contains_key(&new) && !ours.contains_key(&bad[1]));
    assert_eq!(ours[&keys[60]]["ListPrice"], 9.0);

    world.simulator.faults().clear();
    world
        .until(
            "its second reading is due",
            "select bool_and(due_at < clock_timestamp()) from replicator.reread",
        )
        .await;
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
    assert_eq!(world.ask::<i64>("select count(*) from replicator.quarantine").await, 0);
}

#[tokio::test]
async fn a_bad_record_on_a_list_without_order_fails_its_job_and_no_key_is_skipped() {
    let mut world = World::of(130).await;
    world.settings.fetcher.page_size = 30;
    let bad = world.simulator.world().keys(sim(PROPERTY)).remove(80);
    // The page before it comes in reverse: what lies behind its last key is unknown.
    world.simulator.faults().push(Fault::new(Trouble::Reversed).on("Property").forever());
    let fault = Fault::new(Trouble::BadRecord(bad)).on("Property").unless("$select=ListingKey").forever();
    world.simulator.faults().push(fault);
    let problem = world.fail(Job::InitialDownload, PROPERTY).await;
    assert!(problem.contains("1026"), "{problem}");
    assert!(!problem.contains("never"), "{problem}");
    let completed: bool =
        world.ask("select initial_download_completed_at is not null from replicator.resource where resource = 'Property'").await;
    assert!(!completed);
}

#[tokio::test]
async fn a_sweep_that_a_record_breaks_is_not_complete_and_deletes_nothing() {
    let world = crate::purge::settled(120).await;
    let keys = world.simulator.world().keys(sim(PROPERTY));
    for key in &keys[..3] {
        world.simulator.world().remove(sim(PROPERTY), key);
    }
    world.simulator.faults().push(Fault::new(Trouble::BadRecord(keys[40].clone())).on("Property").forever());
    let problem = world.fail(Job::Purge, PROPERTY).await;
    assert!(problem.contains("1026"), "{problem}");
    assert_eq!(world.keys(PROPERTY).await.len(), 120);
    world.simulator.faults().clear();
    world.succeed(Job::Purge, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_listing_whose_media_never_come_in_time_holds_up_no_other() {
    let mut world = filled(20).await;
    world.settings.fetcher.timeouts.read = Duration::from_millis(300);
    let keys = world.simulator.world().keys(sim(PROPERTY));
    for key in &keys[..6] {
        world.simulator.world().change_photos(key, PhotoChange::Replace);
    }
    world.succeed(Job::Update, PROPERTY).await;
    let hangs = Fault::new(Trouble::Stall(Duration::from_mins(5))).on("Property");
    world.simulator.faults().push(hangs.matching(&keys[2]).matching("$expand").forever());
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    for key in keys[..6].iter().filter(|key| **key != keys[2]) {
        world.assert_relation_equal(PROPERTY, key, Relation::Media).await;
    }
    let reported: String =
        world.ask("select string_agg(key || ' ' || relation, ';') from replicator.quarantine").await;
    assert_eq!(reported, format!("{} Media", keys[2]));
}

#[tokio::test]
async fn a_feed_that_answers_nothing_is_no_fault_of_its_records() {
    let mut world = filled(20).await;
    world.settings.fetcher.timeouts.read = Duration::from_millis(100);
    for key in &world.simulator.world().keys(sim(PROPERTY))[..3] {
        world.simulator.world().change_photos(key, PhotoChange::Replace);
    }
    world.succeed(Job::Update, PROPERTY).await;
    world
        .simulator
        .faults()
        .push(Fault::new(Trouble::Stall(Duration::from_mins(5))).on("Property").forever());
    let problem = world.fail(Job::MediaRefresh, PROPERTY).await;
    assert!(problem.contains("did not"), "{problem}");
    assert_eq!(world.ask::<i64>("select count(*) from replicator.quarantine").await, 0);
    world.simulator.faults().clear();
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_media_equal().await;
}

#[tokio::test]
async fn a_listing_whose_media_are_refused_switches_nothing_off_for_the_others() {
    let world = filled(20).await;
    let keys = world.simulator.world().keys(sim(PROPERTY));
    let refused = Fault::new(bare(400)).on("Property").matching("Media").matching(&keys[7]);
    world.simulator.faults().push(refused.forever());
    for changed in [&keys[7..8], &keys[5..10]] {
        world.simulator.clock().advance(Duration::from_secs(2));
        for key in changed {
            world.simulator.world().change_photos(key, PhotoChange::Replace);
        }
        world.succeed(Job::Update, PROPERTY).await;
        world.succeed(Job::MediaRefresh, PROPERTY).await;
        assert_eq!(world.ask::<i64>("select count(*) from replicator.expansion").await, 0);
        let reported: String = world
            .ask(
                "select string_agg(key || ' ' || relation, ';' order by relation) from replicator.quarantine",
            )
            .await;
        assert!(reported.starts_with(&format!("{} Media", keys[7])), "{reported}");
        for key in changed.iter().filter(|key| **key != keys[7]) {
            world.assert_relation_equal(PROPERTY, key, Relation::Media).await;
        }
    }
}

#[tokio::test]
async fn a_window_that_hangs_is_asked_for_in_parts() {
    let mut world = World::of(40).await;
    world.settings.fetcher.timeouts.read = Duration::from_millis(300);
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.simulator.clock().advance(Duration::from_hours(6));
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(3);
    world.simulator.world().set_price(&key, 7.0);
    // The whole window is too much for it, a bounded one is not.
    let hangs = Fault::new(Trouble::Stall(Duration::from_mins(5))).on("Property");
    world.simulator.faults().push(hangs.matching("ModificationTimestamp gt").unless(" le ").times(6));
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_feed_that_is_too_slow_to_count_is_downloaded_and_purges_wait_for_a_person() {
    let world = World::of(130).await;
    let slow = Fault::new(Trouble::d(503, 1515)).on("Property").matching("$count");
    world.simulator.faults().push(slow.forever());
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
    let gone = world.simulator.world().keys(sim(PROPERTY)).remove(3);
    world.simulator.world().remove(sim(PROPERTY), &gone);
    world.execute("update mls.property set first_seen_at = first_seen_at - interval '1 day', written_at = written_at - interval '1 day'").await;
    let problem = world.fail(Job::Purge, PROPERTY).await;
    assert!(problem.contains("no $count"), "{problem}");
    assert_eq!(world.keys(PROPERTY).await.len(), 130);
}

#[tokio::test]
async fn media_that_cannot_be_read_are_reported_under_their_listing() {
    let world = filled(20).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(5);
    world.simulator.world().change_photos(&key, PhotoChange::Replace);
    world.simulator.world().set_raw_field(sim(PROPERTY), &key, "Media", "[1]");
    world.succeed(Job::Update, PROPERTY).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    let reported: String = world
        .ask("select string_agg(key || ' ' || relation || ' ' || message, ';') from replicator.quarantine")
        .await;
    assert_eq!(reported, format!("{key} Media the record is not a JSON object"));
}

#[tokio::test]
async fn media_that_the_feed_cannot_deliver_is_reported_under_its_relation() {
    let world = filled(20).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(5);
    world.simulator.world().change_photos(&key, PhotoChange::Replace);
    world.succeed(Job::Update, PROPERTY).await;
    let fault = Fault::new(Trouble::BadRecord(key.clone())).on("Property").matching("$expand").forever();
    world.simulator.faults().push(fault);
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    let reported: String = world
        .ask("select string_agg(key || ' ' || relation || ' ' || reason, ';') from replicator.quarantine")
        .await;
    assert_eq!(reported, format!("{key} Media undeliverable"));
    world.simulator.faults().clear();
    world.execute("update replicator.relation_set set due_at = clock_timestamp(), after_sweep = false where after_sweep").await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_relation_equal(PROPERTY, &key, Relation::Media).await;
    assert_eq!(world.ask::<i64>("select count(*) from replicator.quarantine").await, 0);
}

#[tokio::test]
async fn a_page_that_is_too_much_is_halved_whoever_says_so_and_grows_again() {
    let world = World::of(400).await;
    let refusals = [both(503, 1515), both(503, 1516)].concat();
    let refusals = refusals.into_iter().chain([413, 414, 431].map(bare));
    for refusal in refusals {
        let said = format!("{refusal:?}");
        world.simulator.journal().clear();
        world.simulator.faults().push(Fault::new(refusal).on("Property").matching("$top=200"));
        let job = if world.keys(PROPERTY).await.is_empty() { Job::InitialDownload } else { Job::Resync };
        world.succeed(job, PROPERTY).await;
        let tops: Vec<u32> = world
            .simulator
            .journal()
            .of("Property")
            .iter()
            .filter_map(|request| request.param("$top")?.parse().ok())
            .collect();
        assert_eq!(tops[..4], [100, 200, 100, 200], "{said}");
    }
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_window_that_is_too_slow_in_the_smallest_pages_is_asked_for_in_halves() {
    for (refusal, job) in both(503, 1516).into_iter().zip([Job::Update, Job::Lookback]) {
        let world = filled(60).await;
        world.succeed(Job::Update, PROPERTY).await;
        let keys = world.simulator.world().keys(sim(PROPERTY));
        for (minutes, key) in (1..).zip(&keys[..18]) {
            world.simulator.world().set_price(key, 3.0);
            let at = world.simulator.clock().now() - chrono::TimeDelta::minutes(minutes);
            world.simulator.world().surface_late(key, at);
        }
        // Only what has an upper bound is quick enough, and only once the window was halved twice.
        let open =
            Fault::new(refusal.clone()).on("Property").matching("ModificationTimestamp gt").unless(" le ");
        world.simulator.faults().push(open.times(6));
        let bounded = Fault::new(refusal).on("Property").matching(" le ").times(3);
        world.simulator.faults().push(bounded);
        world.simulator.journal().clear();
        world.succeed(job, PROPERTY).await;
        assert_eq!(
            world.simulator.faults().pending(),
            0,
            "the window was not halved as often as it had to be"
        );
        world.assert_equal(PROPERTY).await;
        let filters: Vec<String> = world
            .simulator
            .journal()
            .of("Property")
            .iter()
            .filter(|request| request.status == Some(200))
            .filter_map(|request| request.param("$filter").map(str::to_owned))
            .collect();
        let bounded = filters.iter().filter(|filter| filter.contains(" le ")).count();
        assert!(bounded > 0 && bounded < filters.len(), "{filters:?}");
    }
}

#[tokio::test]
async fn a_key_on_the_wrong_host_is_told_the_right_one_and_turns_nothing_off() {
    for refusal in both(403, 1021) {
        let world = World::of(5).await;
        world.simulator.faults().push(Fault::new(refusal).forever());
        let problem = world.fail(Job::InitialDownload, PROPERTY).await;
        assert!(problem.contains("replication.sparkapi.com"), "{problem}");
        let standing: bool = world
            .ask("select bool_or(off_at is not null) or (select blocked_at is not null from replicator.feed) from replicator.resource")
            .await;
        assert!(!standing, "a wrong address is no verdict about the key");
    }
}

#[tokio::test]
async fn a_feed_out_of_sync_is_waited_for_holds_its_cursor_and_voids_its_sweep() {
    for code in [1023, 1024, 2005] {
        for refusal in both(503, code) {
            let world = crate::purge::settled(30).await;
            let gone = world.simulator.world().keys(sim(PROPERTY)).remove(2);
            world.simulator.world().remove(sim(PROPERTY), &gone);
            // Said once, it is waited for, and the sweep proves nothing.
            world.simulator.faults().push(Fault::new(refusal.clone()).on("Property"));
            let problem = world.fail(Job::Purge, PROPERTY).await;
            assert!(problem.contains("not in sync"), "{code}: {problem}");
            assert!(world.keys(PROPERTY).await.contains(&gone), "{code} had a record deleted");
            world.succeed(Job::Update, PROPERTY).await;
            let before: Option<chrono::DateTime<chrono::Utc>> =
                world.ask("select cursor_at from replicator.checkpoint where job = 'update' and resource = 'Property'").await;
            world.simulator.faults().push(Fault::new(refusal).on("Property").forever());
            world.fail(Job::Update, PROPERTY).await;
            let after =
                world.ask("select cursor_at from replicator.checkpoint where job = 'update' and resource = 'Property'").await;
            assert_eq!(before, after, "{code} did not hold the cursor");
        }
    }
}
