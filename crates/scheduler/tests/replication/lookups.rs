use spark_domain::{Job, Resource};
use spark_simulator::{Fault, Trouble};

use crate::harness::{World, sim, small};

const LOOKUP: Resource = Resource::Lookup;

#[tokio::test]
async fn lookups_are_taken_in_whole_over_their_offset_links() {
    let world = World::of(50).await;
    world.succeed(Job::Lookups, LOOKUP).await;
    world.assert_equal(LOOKUP).await;
    assert!(
        world.simulator.journal().of("Lookup").iter().any(|r| r.param("$skip").is_some()),
        "one page was enough"
    );
}

#[tokio::test]
async fn a_lookup_value_that_is_gone_goes_and_a_new_one_comes() {
    let world = World::of(50).await;
    world.succeed(Job::Lookups, LOOKUP).await;
    world.execute("update mls.lookup set first_seen_at = first_seen_at - interval '1 hour', written_at = written_at - interval '1 hour'").await;
    let key = world.simulator.world().keys(sim(LOOKUP)).remove(3);
    world.simulator.world().remove(sim(LOOKUP), &key);
    world.simulator.world().insert(sim(LOOKUP));
    let report = world.succeed(Job::Lookups, LOOKUP).await;
    assert_eq!((report.totals.inserted, report.totals.deleted), (1, 1));
    world.assert_equal(LOOKUP).await;
}

#[tokio::test]
async fn a_lookup_list_cut_short_deletes_nothing() {
    let world = World::of(50).await;
    world.succeed(Job::Lookups, LOOKUP).await;
    world.execute("update mls.lookup set first_seen_at = first_seen_at - interval '1 hour', written_at = written_at - interval '1 hour'").await;
    let before = world.keys(LOOKUP).await;
    world.simulator.faults().push(Fault::new(Trouble::NoLink).on("Lookup").forever());
    world.fail(Job::Lookups, LOOKUP).await;
    assert_eq!(world.keys(LOOKUP).await, before);
}

#[tokio::test]
async fn a_lookup_list_that_an_error_cut_is_read_again_from_its_start() {
    let world = World::start(small(50)).await;
    let mut settings = world.settings.clone();
    settings.fetcher.page_size = 40;
    world.simulator.faults().push(Fault::new(Trouble::error(401, 401)).on("Lookup").matching("$skip"));
    let failed = world.once_with(&settings, Job::Lookups, LOOKUP, false).await;
    assert!(failed.problem.is_some() && failed.totals.inserted == 40, "{failed:?}");
    world.simulator.faults().push(Fault::new(Trouble::CountOff(-60)).on("Lookup"));
    let second = world.once_with(&settings, Job::Lookups, LOOKUP, false).await;
    assert!(second.problem.is_none(), "{second:?}");
    assert_eq!(second.totals.unchanged, 40, "the rest was taken for the whole list");
    world.assert_equal(LOOKUP).await;
}

#[tokio::test]
async fn metadata_is_kept_and_drift_is_counted() {
    let world = World::of(20).await;
    world.succeed(Job::Metadata, Resource::Property).await;
    let kept = world.store.metadata(world.feed()).await.unwrap().unwrap();
    assert!(kept.document.contains("EntityType Name=\"Property\""));
    let other = kept.document.replace("Name=\"ListPrice\"", "Name=\"FormerPrice\"");
    let lease = world
        .store
        .acquire_lease(world.feed(), "test", std::time::Duration::from_secs(9))
        .await
        .unwrap()
        .unwrap();
    world.store.save_metadata(&lease, spark_domain::Hash::of_document(&other), &other).await.unwrap();
    world.store.release_lease(&lease).await.unwrap();
    world.succeed(Job::Metadata, Resource::Property).await;
    let metrics = world.metrics.render().unwrap();
    for kind in ["new_field", "removed_field"] {
        let line = format!(
            "spark_replicator_schema_drift_total{{feed=\"beaches\",kind=\"{kind}\",resource=\"Property\"}} 1"
        );
        assert!(metrics.contains(&line), "no {line}");
    }
}
