//! Servers that are not Spark: RESO leaves them free where Spark has habits, and the copy is right all the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use spark_domain::walk::Paging;
use spark_domain::{Job, Relation, Resource};
use spark_simulator::{Count, Fault, Manners, PhotoChange, Trouble};

use crate::harness::{World, plain, sim, small};

const PROPERTY: Resource = Resource::Property;

/// Everything at once, but for what decides about paging and counting.
const STRANGE: Manners = Manners {
    relative_links: true,
    numbers_as_text: true,
    odd_moments: true,
    missing_stamps: true,
    top_is_all: false,
    page_cap: None,
    count: Count::Given,
};

async fn world(manners: Manners, paging: Paging) -> World {
    let mut world = World::start(spark_simulator::Settings { manners, ..small(260) }).await;
    world.settings.paging = paging;
    world.settings.fetcher.page_size = 60;
    world.settings.relations = BTreeMap::from([(PROPERTY, vec![Relation::Media])]);
    world
}

/// Row for row what such a server shows.
async fn assert_equal(world: &World, manners: Manners, told: &str) {
    let ours = world.rows(PROPERTY).await;
    let theirs: BTreeMap<String, Value> = world.simulator.world().truth(sim(PROPERTY)).into_iter().collect();
    assert_eq!(ours.keys().collect::<BTreeSet<_>>(), theirs.keys().collect(), "{told}: keys differ");
    for (key, body) in &ours {
        let theirs = manners.dress(PROPERTY.key_field(), &theirs[key]);
        assert_eq!(plain(body), plain(&theirs), "{told}: {key} differs");
    }
    for key in ours.keys() {
        let mut theirs: Vec<Value> = world
            .simulator
            .world()
            .truth_relation(sim(PROPERTY), key, "Media")
            .iter()
            .map(|member| plain(&manners.dress("MediaKey", member)))
            .collect();
        theirs.sort_by_key(Value::to_string);
        assert_eq!(world.relation(PROPERTY, key, Relation::Media).await, theirs, "{told}: media of {key}");
    }
}

#[tokio::test]
async fn a_server_with_other_habits_is_replicated_row_for_row_by_its_links() {
    replicate(Paging::NextLink).await;
}

#[tokio::test]
async fn a_server_that_cuts_every_page_at_a_size_of_its_own_is_paged_by_key() {
    for count in [Count::Given, Count::Ignored, Count::Refused] {
        let manners = Manners { page_cap: Some(17), count, ..Manners::default() };
        let told = format!("$count {count:?}");
        let world = world(manners, Paging::NextLink).await;
        world.once(Job::InitialDownload, PROPERTY).await;
        world.succeed(Job::InitialDownload, PROPERTY).await;
        world.succeed(Job::MediaRefresh, PROPERTY).await;
        assert_equal(&world, manners, &told).await;
        for key in &world.simulator.world().keys(sim(PROPERTY))[..90] {
            world.simulator.world().set_price(key, 250_500.5);
        }
        world.succeed(Job::Update, PROPERTY).await;
        assert_equal(&world, manners, &told).await;
    }
}

#[tokio::test]
async fn a_server_with_other_habits_is_replicated_row_for_row_by_key() {
    replicate(Paging::Key).await;
}

/// A new listing that an update finds.
fn insert_stamped(world: &World, manners: Manners) {
    let key_field = PROPERTY.key_field();
    loop {
        let key = world.simulator.world().insert_listing();
        let shown = manners
            .dress(key_field, &json!({ key_field: &*key, "ModificationTimestamp": "2026-01-01T00:00:00Z" }));
        if shown["ModificationTimestamp"].is_string() {
            return;
        }
        world.simulator.world().remove(sim(PROPERTY), &key);
    }
}

/// Downloads, updates with media and purges, whatever the server makes of `$top` and `$count`.
async fn replicate(paging: Paging) {
    for (top_is_all, count) in
        [(false, Count::Given), (true, Count::Given), (false, Count::Refused), (true, Count::Ignored)]
    {
        let manners = Manners { top_is_all, count, ..STRANGE };
        let told = format!("{paging:?}, $top is all: {top_is_all}, $count {count:?}");
        let world = world(manners, paging).await;
        world.succeed(Job::InitialDownload, PROPERTY).await;
        world.succeed(Job::MediaRefresh, PROPERTY).await;
        assert_equal(&world, manners, &told).await;

        let keys = world.simulator.world().keys(sim(PROPERTY));
        for key in &keys[..90] {
            world.simulator.world().set_price(key, 250_500.5);
        }
        for key in &keys[80..100] {
            world.simulator.world().change_photos(key, PhotoChange::Replace);
        }
        insert_stamped(&world, manners);
        world.succeed(Job::Update, PROPERTY).await;
        world.succeed(Job::MediaRefresh, PROPERTY).await;
        let unseen = "select count(*) from mls.property where modified_at is null and list_price = 250500.5";
        assert_eq!(world.ask::<i64>(unseen).await, 0, "{told}: no filter finds what has no stamp");
        world.succeed(Job::Lookback, PROPERTY).await;
        world.succeed(Job::MediaRefresh, PROPERTY).await;
        assert_equal(&world, manners, &told).await;
        assert!(world.ask::<i64>(unseen).await > 10, "{told}: the look-back reads them by their keys");
        let typed: i64 = world.ask("select count(*) from mls.property where list_price = 250500.5").await;
        assert_eq!(typed, 90, "{told}: typed columns read texts as numbers");

        crate::purge::age(&world).await;
        let gone: Vec<String> = crate::purge::remove(&world, 3);
        let report = world.once(Job::Purge, PROPERTY).await;
        if count == Count::Given {
            assert_eq!(report.totals.deleted, 3, "{told}: {:?}", report.problem.map(|p| p.to_string()));
            assert_equal(&world, manners, &told).await;
        } else {
            let why = report.problem.expect("nothing proves the list").to_string();
            assert!(why.contains("no $count"), "{told}: {why}");
            assert!(gone.iter().all(|key| keys.contains(key)));
            assert_eq!(world.keys(PROPERTY).await.len(), 261, "{told}");
        }
    }
}

#[tokio::test]
async fn what_was_learnt_of_a_servers_paging_is_kept_until_the_configuration_changes() {
    let manners = Manners { top_is_all: true, ..Manners::default() };
    let mut world = world(manners, Paging::NextLink).await;
    world.succeed(Job::InitialDownload, PROPERTY).await;
    let kept: Option<String> =
        world.ask("select paging from replicator.resource where resource = 'Property'").await;
    assert_eq!(kept.as_deref(), Some("key"));
    world.simulator.journal().clear();
    world.succeed(Job::Resync, PROPERTY).await;
    let asked = world.simulator.journal().of("Property");
    assert!(asked.iter().all(|request| request.param("$orderby").is_some()), "it was found out anew");
    world.settings.exclude.insert("PublicRemarks".to_owned());
    world.succeed(Job::Metadata, PROPERTY).await;
    let kept: Option<String> =
        world.ask("select paging from replicator.resource where resource = 'Property'").await;
    assert_eq!(kept, None);
}

#[tokio::test]
async fn a_server_that_was_found_out_by_one_bad_answer_gets_another_chance_where_keys_do_not_help() {
    let world = world(Manners::default(), Paging::NextLink).await;
    let faults = world.simulator.faults();
    faults.push(Fault::new(Trouble::NoLink).on("Property"));
    // Links lead through pages in any order, `$orderby` through none that are not in its own.
    faults.push(Fault::new(Trouble::Reversed).on("Property").forever());
    let problem = world.fail(Job::InitialDownload, PROPERTY).await;
    assert!(problem.contains("came after a greater one"), "{problem}");
    let kept: Option<String> =
        world.ask("select paging from replicator.resource where resource = 'Property'").await;
    assert_eq!(kept, None, "it would fail for ever");
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_sweep_finds_out_a_server_that_cuts_its_list_and_the_next_one_is_whole() {
    let manners = Manners { top_is_all: true, count: Count::Given, ..Manners::default() };
    let world = world(manners, Paging::NextLink).await;
    world.succeed(Job::InitialDownload, PROPERTY).await;
    crate::purge::age(&world).await;
    crate::purge::remove(&world, 3);
    // As after an upgrade from a version that kept nothing of this.
    world.execute("update replicator.resource set paging = null").await;
    let problem = world.fail(Job::Purge, PROPERTY).await;
    assert!(problem.contains("did not come to its end"), "{problem}");
    assert_eq!(world.keys(PROPERTY).await.len(), 260);
    world.succeed(Job::Purge, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}
