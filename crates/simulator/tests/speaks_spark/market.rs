//! A market that moves, and caches that do not.

use std::{collections::HashSet, time::Duration};

use chrono::TimeDelta;
use serde_json::json;
use spark_simulator::{Clock, MarketSettings, Move, PhotoChange, Resource, Settings};

use crate::Feed;

#[tokio::test]
async fn the_same_seed_tells_the_same_history() {
    let clock = Clock::default();
    clock.run_at(0.0);
    let settings = Settings { listings: 50, seed: 7, clock, ..Settings::default() };
    let one = Feed::with(settings.clone()).await;
    let two = Feed::with(settings).await;
    let moves = one.simulator.market().step(300);
    assert_eq!(moves, two.simulator.market().step(300));
    for resource in Resource::ALL {
        let (first, second) = (one.simulator.world().truth(resource), two.simulator.world().truth(resource));
        assert_eq!(first, second, "{resource:?}");
    }
    let kinds: HashSet<_> = moves.iter().map(std::mem::discriminant::<Move>).collect();
    assert_eq!(kinds.len(), 12, "every kind of move happens");
}

#[tokio::test]
async fn a_market_moves_by_itself() {
    let market = Some(MarketSettings { moves_per_minute: 60_000.0 });
    let feed = Feed::with(Settings { market, ..Settings::default() }).await;
    let before = feed.simulator.world().truth(Resource::Property);
    let changed = async {
        while feed.simulator.world().truth(Resource::Property) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap();
}

#[tokio::test]
async fn a_stale_cache_shows_the_version_before_until_its_time_is_up() {
    let feed = Feed::of(5).await;
    let world = feed.simulator.world();
    let key = world.keys(Resource::Property).remove(2);
    let path = format!("Property('{key}')?$select=ListPrice");
    let before = feed.get(&path).await.1["ListPrice"].clone();
    world.set_price(&key, 1.0);
    assert_eq!(feed.get(&path).await.1["ListPrice"], 1.0);

    world.serve_stale(Resource::Property, &key, world.clock().now() + TimeDelta::minutes(10));
    assert_eq!(feed.get(&path).await.1["ListPrice"], before);
    assert_eq!(feed.walk("Property").await[2]["ListPrice"], before);
    assert_eq!(world.listing(&key).unwrap()["ListPrice"], 1.0, "the truth is never stale");
    world.clock().advance(Duration::from_secs(601));
    assert_eq!(feed.get(&path).await.1["ListPrice"], 1.0);

    world.hold_back(Resource::Property, &key);
    assert_eq!((feed.get(&path).await.0, feed.walk("Property").await.len()), (404, 4));
    world.release(Resource::Property, &key);
    assert_eq!(feed.get(&path).await.0, 200);

    world.remove(Resource::Property, &key);
    assert_eq!(feed.get(&path).await.0, 404);
    world.serve_stale(Resource::Property, &key, world.clock().now() + TimeDelta::minutes(1));
    assert_eq!(feed.get(&path).await.0, 200, "a removed listing lingers in a cache");
}

#[tokio::test]
async fn edits_move_the_stamps_they_should() {
    let feed = Feed::of(4).await;
    let world = feed.simulator.world();
    let keys = world.keys(Resource::Property);
    let now = world.clock().now().timestamp();
    let seconds = |key: &str, field: &str| {
        let body = world.listing(key).unwrap();
        let text = body[field].as_str().unwrap_or("1970-01-01T00:00:00Z").to_owned();
        chrono::DateTime::parse_from_rfc3339(&text).unwrap().timestamp()
    };
    assert!(keys.iter().all(|key| seconds(key, "ModificationTimestamp") < now - 1_800));

    let photos = world.photo_count(&keys[0]).unwrap();
    world.change_photos(&keys[0], PhotoChange::Add);
    assert_eq!(world.listing(&keys[0]).unwrap()["PhotosCount"], photos + 1);
    assert!(
        seconds(&keys[0], "PhotosChangeTimestamp") >= now
            && seconds(&keys[0], "ModificationTimestamp") >= now
    );

    let before = seconds(&keys[1], "ModificationTimestamp");
    world.rewind(&keys[1]);
    assert!(seconds(&keys[1], "ModificationTimestamp") < before);
    world.surface_late(&keys[2], world.clock().now() - TimeDelta::hours(20));
    assert!(seconds(&keys[2], "ModificationTimestamp").abs_diff(now - 72_000) < 60);

    let new = world.relist(&keys[3]).unwrap();
    assert!(world.listing(&keys[3]).is_none());
    assert!(seconds(&new, "ModificationTimestamp") >= now);
    world.leave_role(Resource::Property, &new);
    assert!(!world.keys(Resource::Property).contains(&new));
    world.enter_role(Resource::Property, &new);
    assert_eq!(world.count(Resource::Property), 4);
}

#[tokio::test]
async fn an_open_house_leaves_the_feed_when_it_is_over() {
    let feed = Feed::with(Settings { open_houses: Some(0), ..Settings::default() }).await;
    let world = feed.simulator.world();
    let listing = world.keys(Resource::Property).remove(0);
    let start = world.clock().now().timestamp() + 60;
    let key = world.open_house_add(&listing, start, start + 60);
    assert_eq!(feed.keys("OpenHouse", "OpenHouseKey").await, [key]);
    world.clock().advance(Duration::from_secs(121));
    assert!(feed.walk("OpenHouse").await.is_empty());
    assert!(world.truth_relation(Resource::Property, &listing, "OpenHouse").is_empty());
}

#[tokio::test]
async fn nasty_values_are_served_as_planted_and_told_as_a_copy_must_hold_them() {
    let feed = Feed::of(2).await;
    let world = feed.simulator.world();
    let key = world.keys(Resource::Property).remove(0);
    for (field, raw) in [
        ("PublicRemarks", r#""a\u0000b\ud800c\ud83d\ude42""#),
        ("ListPrice", "1e200000"),
        ("BedroomsTotal", r#"{"deep":[[[]]]}"#),
    ] {
        world.set_raw_field(Resource::Property, &key, field, raw);
        let url = feed.url(&format!("Property('{key}')?$select={field}"));
        let text = feed.request(url).send().await.unwrap().text().await.unwrap();
        assert!(text.contains(&format!("\"{field}\":{raw}")), "{text}");
    }
    world.hide_field(Resource::Property, &key, "City");
    world.leave_out_field(Resource::Property, &key, "PostalCode");
    let body = world.listing(&key).unwrap();
    assert_eq!(body["PublicRemarks"], "a\u{FFFD}b\u{FFFD}c🙂");
    assert_eq!(body["ListPrice"], "1e200000");
    assert_eq!(body["BedroomsTotal"], json!({"deep": [[[]]]}));
    assert_eq!(body["City@Core.Permissions"], "None");
    assert!(body.get("City").is_none() && body.get("PostalCode").is_none());
}
