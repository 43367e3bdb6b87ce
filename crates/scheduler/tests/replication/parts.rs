//! `Media` is five expansions natively: each may be off, or not come, without the others.

use std::time::Duration;

use serde_json::json;
use spark_domain::{Job, Relation, Resource};
use spark_simulator::{Entry, Fault, Trouble};

use crate::answers::filled;
use crate::harness::{World, sim};

const PROPERTY: Resource = Resource::Property;

fn asks_for_floor_plans(entry: &Entry) -> bool {
    entry.expands("FloPlans")
}

fn asks_for_media(entry: &Entry) -> bool {
    entry.expands("Media")
}

/// Gives a listing one photo and one floor plan, of this edition.
fn publish(world: &World, key: &str, edition: u32) {
    let stamp = json!(world.simulator.clock().now().format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let medium = |kind: &str, category: &str| json!({"MediaKey": format!("{kind}-{edition}"), "MediaCategory": category});
    let market = world.simulator.world();
    market.edit(sim(PROPERTY), key, "PhotosCount", 1);
    market.edit(sim(PROPERTY), key, "PhotosChangeTimestamp", stamp);
    market.set_relation(
        sim(PROPERTY),
        key,
        "Media",
        &[medium("photo", "Photo"), medium("plan", "Floor Plan")],
    );
    world.simulator.clock().advance(Duration::from_secs(2));
}

async fn refresh(world: &World) {
    world.succeed(Job::Update, PROPERTY).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
}

/// The keys of what we hold of a listing's media.
async fn media(world: &World, key: &str) -> Vec<String> {
    let members = world.relation(PROPERTY, key, Relation::Media).await;
    let mut keys: Vec<String> =
        members.iter().filter_map(|member| Some(member.get("MediaKey")?.as_str()?.to_owned())).collect();
    keys.sort();
    keys
}

async fn world() -> (World, String) {
    let mut world = filled(20).await;
    world.settings.cache_window = Duration::from_millis(200);
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(3);
    publish(&world, &key, 1);
    refresh(&world).await;
    assert_eq!(media(&world, &key).await, ["photo-1", "plan-1"]);
    (world, key)
}

#[tokio::test]
async fn a_part_of_media_that_is_off_is_left_out_alone_and_fetched_for_all_once_it_is_back() {
    let (world, key) = world().await;
    let off = Fault::new(Trouble::d(403, 1505)).on("Property").when(asks_for_floor_plans);
    world.simulator.faults().push(off.forever());
    publish(&world, &key, 2);
    refresh(&world).await;
    let reported: String = world
        .ask("select string_agg(resource || ' ' || relation || ' ' || (off_reason like '%1505%'), ';') from replicator.expansion")
        .await;
    assert_eq!(reported, "Property FloPlans true");
    assert_eq!(media(&world, &key).await, ["photo-2", "plan-1"], "what is off is neither changed nor gone");

    // A day later it is asked for alone, and as it is still off nothing else is.
    let a_day_later = "update replicator.expansion set off_at = off_at - interval '1 day'";
    world.execute(a_day_later).await;
    world.simulator.journal().clear();
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    let asked: Vec<Entry> = world.simulator.journal().of("Property");
    let names: Vec<_> = asked.iter().filter_map(|entry| entry.param("_expand")).collect();
    assert_eq!(names, ["FloPlans"]);
    assert!(world.ask::<bool>("select off_at > now() - interval '1 hour' from replicator.expansion").await);

    world.simulator.faults().clear();
    world.execute(a_day_later).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    assert_eq!(world.ask::<i64>("select count(*) from replicator.expansion").await, 0);
    assert_eq!(media(&world, &key).await, ["photo-2", "plan-2"]);
    world.assert_media_equal().await;
}

#[tokio::test]
async fn a_part_of_media_that_never_comes_keeps_its_members_and_holds_up_none_of_the_others() {
    let (world, key) = world().await;
    world.simulator.faults().push(Fault::new(Trouble::NoExpansion("FloPlans")).on("Property").forever());
    publish(&world, &key, 2);
    world.simulator.journal().clear();
    world.succeed(Job::Update, PROPERTY).await;
    for _ in 0..6 {
        world.succeed(Job::MediaRefresh, PROPERTY).await;
        assert_eq!(media(&world, &key).await, ["photo-2", "plan-1"]);
        world
            .until(
                "nothing is due later",
                "select count(*) = 0 from replicator.relation_set where due_at > clock_timestamp()",
            )
            .await;
    }
    let asked = world.simulator.journal().of("Property").iter().filter(|entry| asks_for_media(entry)).count();
    assert_eq!(asked, 3, "as often as for a set that never comes");
}

#[tokio::test]
async fn media_of_which_every_part_is_off_are_off_as_a_whole() {
    let (world, key) = world().await;
    world
        .simulator
        .faults()
        .push(Fault::new(Trouble::d(403, 1505)).on("Property").when(asks_for_media).forever());
    publish(&world, &key, 2);
    refresh(&world).await;
    assert_eq!(
        world.ask::<String>("select string_agg(relation, ';') from replicator.expansion").await,
        "Media"
    );
    assert_eq!(media(&world, &key).await, ["photo-1", "plan-1"]);
}

#[tokio::test]
async fn an_expansion_that_is_refused_in_passing_stays_on() {
    let (world, key) = world().await;
    world.simulator.faults().push(Fault::new(Trouble::d(403, 1505)).on("Property").when(asks_for_media));
    publish(&world, &key, 2);
    world.succeed(Job::Update, PROPERTY).await;
    let problem = world.fail(Job::MediaRefresh, PROPERTY).await;
    assert!(problem.contains("1505"), "{problem}");
    assert_eq!(world.ask::<i64>("select count(*) from replicator.expansion").await, 0);
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_media_equal().await;
}
