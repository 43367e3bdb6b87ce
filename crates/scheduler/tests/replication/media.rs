use std::time::Duration;

use chrono::TimeDelta;
use spark_domain::{Job, Relation, Resource};
use spark_simulator::{Fault, PhotoChange, Trouble};

use crate::harness::{World, sim};

const PROPERTY: Resource = Resource::Property;

/// A feed downloaded, media and all; its stamps lie an hour back, outside the cache window.
async fn filled(listings: usize) -> World {
    let world = World::of(listings).await;
    // With the metadata known, `$select` names only fields that the feed has.
    if world.settings.has(Job::Metadata, PROPERTY) {
        world.succeed(Job::Metadata, PROPERTY).await;
    }
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world
}

async fn refresh(world: &World) {
    world.succeed(Job::Update, PROPERTY).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
}

fn media_requests(world: &World) -> usize {
    world
        .simulator
        .journal()
        .of("Property")
        .iter()
        .filter(|r| r.param("$expand").is_some_and(|e| e.contains("Media")))
        .count()
}

#[tokio::test]
async fn after_the_first_download_every_relation_is_filled() {
    let world = filled(130).await;
    world.assert_media_equal().await;
    for key in world.simulator.world().keys(sim(PROPERTY)) {
        world.assert_relation_equal(PROPERTY, &key, Relation::Room).await;
        world.assert_relation_equal(PROPERTY, &key, Relation::Unit).await;
    }
    let due: i64 = world.ask("select count(*) from replicator.relation_set where due_at is not null").await;
    assert_eq!(due, 0, "the fill walk left something due");
}

#[tokio::test]
async fn a_first_media_answer_that_is_older_than_our_listing_is_read_again() {
    let world = World::of(30).await;
    let market = world.simulator.world();
    let key = market.keys(sim(PROPERTY)).remove(3);
    market.change_photos(&key, PhotoChange::Replace);
    world.succeed(Job::InitialDownload, PROPERTY).await;
    // Another cache answers the fill walk, with the listing as it was before.
    market.serve_stale(sim(PROPERTY), &key, market.clock().now() + TimeDelta::hours(1));
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    market.release(sim(PROPERTY), &key);
    world
        .execute("update replicator.relation_set set due_at = clock_timestamp() where due_at is not null")
        .await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_media_equal().await;
}

#[tokio::test]
async fn a_list_of_keys_asks_for_as_many_records_as_it_names() {
    let world = filled(130).await;
    // Without `$top` Spark answers ten, and the others would look as if they were gone.
    let lists: Vec<_> = world
        .simulator
        .journal()
        .of("Property")
        .into_iter()
        .filter_map(|r| {
            Some((r.param("$filter")?.matches("','").count() + 1, r.param("$top")?.parse::<usize>().ok()))
        })
        .collect();
    assert!(!lists.is_empty(), "no key list was asked for");
    assert!(lists.iter().all(|(keys, top)| *top == Some(*keys)), "{lists:?}");
}

#[tokio::test]
async fn members_and_offices_have_their_media_too() {
    let world = World::of(60).await;
    // The native API has pictures of people within their accounts.
    let people = world.settings.relations.keys().copied().filter(|resource| *resource != PROPERTY);
    for resource in people {
        world.succeed(Job::InitialDownload, resource).await;
        world.succeed(Job::MediaRefresh, resource).await;
        for key in world.simulator.world().keys(sim(resource)) {
            world.assert_relation_equal(resource, &key, Relation::Media).await;
        }
    }
}

#[tokio::test]
async fn media_of_listings_whose_stamps_stand_still_is_never_asked_for() {
    let world = World::of(60).await;
    let keys = world.simulator.world().keys(sim(PROPERTY));
    for key in &keys {
        // Natively a tour's address is not among the fields: any edit may have changed it.
        world.simulator.world().change_tour(key, None);
    }
    // Longer than a cache may show what was before.
    world.simulator.clock().advance(Duration::from_mins(30));
    for job in [Job::InitialDownload, Job::MediaRefresh] {
        world.succeed(job, PROPERTY).await;
    }
    for key in &keys[..20] {
        world.simulator.world().set_price(key, 99_000.0);
    }
    world.simulator.journal().clear();
    world.succeed(Job::Update, PROPERTY).await;
    let due: String = world.ask("select coalesce(string_agg(key || ': ' || wanted || ' / ' || coalesce(fetched, ''), E'\n'), '') from replicator.relation_set where relation = 'Media' and due_at is not null").await;
    assert_eq!(due, "", "due although the stamps stand still");
    refresh(&world).await;
    world.assert_equal(PROPERTY).await;
    assert_eq!(media_requests(&world), 0, "prices moved, photos did not");
}

#[tokio::test]
async fn new_changed_and_vanished_photos_arrive() {
    let mut world = filled(40).await;
    world.settings.cache_window = Duration::from_millis(200);
    let keys = world.simulator.world().keys(sim(PROPERTY));
    for (key, change) in keys.iter().zip([PhotoChange::Add, PhotoChange::Replace, PhotoChange::Remove]) {
        world.simulator.world().change_photos(key, change);
    }
    refresh(&world).await;
    world
        .until(
            "nothing is due",
            "select count(*) = 0 from replicator.relation_set where due_at > clock_timestamp()",
        )
        .await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_media_equal().await;
}

#[tokio::test]
async fn a_photo_that_changes_between_listing_read_and_media_read_ends_right() {
    let mut world = filled(20).await;
    world.settings.cache_window = Duration::from_secs(1);
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(3);
    world.simulator.world().change_photos(&key, PhotoChange::Add);
    world.succeed(Job::Update, PROPERTY).await;
    world.simulator.clock().advance(Duration::from_secs(1));
    world.simulator.world().change_photos(&key, PhotoChange::Replace);
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    refresh(&world).await;
    world.assert_relation_equal(PROPERTY, &key, Relation::Media).await;
}

#[tokio::test]
async fn a_media_read_from_a_stale_cache_is_made_good_after_the_cache_window() {
    let mut world = filled(20).await;
    world.settings.cache_window = Duration::from_millis(600);
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(3);
    world.simulator.world().change_photos(&key, PhotoChange::Replace);
    world.succeed(Job::Update, PROPERTY).await;
    // The list showed the change; the read of the media still comes from before it.
    let until = world.simulator.clock().now() + TimeDelta::hours(1);
    world.simulator.world().serve_stale(sim(PROPERTY), &key, until);
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    let asked_again: bool =
        world.ask("select count(*) = 1 from replicator.relation_set where due_at is not null").await;
    assert!(asked_again, "a stale set was taken for the new one");
    world.simulator.clock().advance(Duration::from_hours(2));
    world.until("the second read is due", "select count(*) = 1 from replicator.relation_set where due_at <= clock_timestamp() and relation = 'Media'").await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_relation_equal(PROPERTY, &key, Relation::Media).await;
}

#[tokio::test]
async fn a_change_is_asked_for_at_most_twice() {
    let mut world = filled(20).await;
    world.settings.cache_window = Duration::from_millis(400);
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(3);
    world.simulator.world().change_photos(&key, PhotoChange::Add);
    world.simulator.journal().clear();
    for _ in 0..4 {
        refresh(&world).await;
        world
            .until(
                "nothing is due later",
                "select count(*) = 0 from replicator.relation_set where due_at > clock_timestamp()",
            )
            .await;
    }
    let asked = media_requests(&world);
    assert!((1..=2).contains(&asked), "asked {asked} times");
    world.assert_relation_equal(PROPERTY, &key, Relation::Media).await;
}

#[tokio::test]
async fn a_virtual_tour_that_comes_changes_or_goes_arrives_though_no_stamp_of_media_moves() {
    let world = filled(20).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(3);
    for url in [Some("https://tours.example.test/one"), Some("https://tours.example.test/two"), None] {
        world.simulator.clock().advance(Duration::from_secs(2));
        world.simulator.world().change_tour(&key, url);
        refresh(&world).await;
        world.assert_relation_equal(PROPERTY, &key, Relation::Media).await;
        let tours = world.relation(PROPERTY, &key, Relation::Media).await;
        let tours = tours.iter().filter(|medium| medium["MediaCategory"] == "Unbranded Virtual Tour").count();
        assert_eq!(tours, usize::from(url.is_some()));
    }
}

#[tokio::test]
async fn an_absent_or_hollow_or_partial_expansion_keeps_what_we_have() {
    let world = filled(12).await;
    let key = world
        .simulator
        .world()
        .keys(sim(PROPERTY))
        .into_iter()
        .find(|key| world.simulator.world().photo_count(key) > Some(1))
        .unwrap();
    let before = world.relation(PROPERTY, &key, Relation::Media).await;
    for trouble in
        [Trouble::NoExpansion("Media"), Trouble::EmptyExpansion("Media"), Trouble::PartialExpansion("Media")]
    {
        world.simulator.clock().advance(Duration::from_secs(2));
        world.simulator.world().change_photos(&key, PhotoChange::Replace);
        let name = trouble.name();
        world.simulator.faults().push(Fault::new(trouble).on("Property").forever());
        refresh(&world).await;
        assert_eq!(world.relation(PROPERTY, &key, Relation::Media).await, before, "{name} changed our set");
        world.simulator.faults().clear();
    }
}

#[tokio::test]
async fn one_record_that_the_feed_cannot_deliver_does_not_hold_up_the_queue() {
    let mut world = filled(30).await;
    world.settings.cache_window = Duration::from_millis(200);
    let keys = world.simulator.world().keys(sim(PROPERTY));
    for key in &keys[..5] {
        world.simulator.world().change_photos(key, PhotoChange::Replace);
    }
    world.succeed(Job::Update, PROPERTY).await;
    let poison =
        Fault::new(Trouble::error(500, 1026)).on("Property").matching(&keys[0]).matching("$expand").forever();
    world.simulator.faults().push(poison);
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    for key in &keys[1..5] {
        world.assert_relation_equal(PROPERTY, key, Relation::Media).await;
    }
    world.simulator.faults().clear();
    world.execute("update replicator.relation_set set due_at = clock_timestamp(), after_sweep = false where after_sweep").await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_relation_equal(PROPERTY, &keys[0], Relation::Media).await;
}

#[tokio::test]
async fn a_relation_that_leaves_the_configuration_is_asked_for_no_more() {
    let mut world = filled(20).await;
    world
        .execute("update replicator.relation_set set due_at = clock_timestamp() where relation = 'Room'")
        .await;
    world.settings.relations.insert(PROPERTY, vec![Relation::Media, Relation::Unit]);
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.simulator.journal().clear();
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    assert_eq!(media_requests(&world), 0);
}

#[tokio::test]
async fn adding_a_relation_fetches_that_one_alone() {
    let mut world = World::of(20).await;
    world.settings.relations.insert(PROPERTY, vec![Relation::Media]);
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.settings.relations.insert(PROPERTY, vec![Relation::Media, Relation::Unit]);
    world.simulator.journal().clear();
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    assert_eq!(world.last_request("Property", "$expand").param("$expand"), Some("Unit"));
    for key in world.simulator.world().keys(sim(PROPERTY)) {
        world.assert_relation_equal(PROPERTY, &key, Relation::Unit).await;
    }
}

#[tokio::test]
async fn an_expansion_that_the_feed_switched_off_does_not_stop_the_updates() {
    let world = filled(30).await;
    world
        .simulator
        .faults()
        .push(Fault::new(Trouble::error(403, 1505)).on("Property").matching("$expand").forever());
    let daemon = world.daemon();
    world.simulator.world().insert_listing();
    world.until("the change arrives without its rooms", "select count(*) = 31 from mls.property").await;
    let off: bool = world.ask("select bool_or(off_at is not null) from replicator.resource").await;
    assert!(!off, "an expansion took its resource along");
    daemon.stop_gently();
    daemon.stopped().await;
}

#[tokio::test]
async fn rooms_come_with_the_update_of_their_listing() {
    let world = filled(30).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(4);
    let rooms = [serde_json::json!({"RoomKey": "R-9", "RoomType": "Library", "RoomLength": "14.00"})];
    world.simulator.world().set_relation(sim(PROPERTY), &key, "Room", &rooms);
    world.simulator.world().set_price(&key, 1.0);
    world.simulator.journal().clear();
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_relation_equal(PROPERTY, &key, Relation::Room).await;
    let request = world.last_request("Property", "ModificationTimestamp gt");
    assert_eq!(request.param("$expand"), Some("Room,Unit"));
}
