//! What only OData's servers do: links to anywhere, pages by `$skip`, `$top` taken for a limit.

use spark_domain::walk::Paging;
use spark_domain::{Job, Resource};
use spark_simulator::{Fault, Trap, Trouble};

use crate::harness::{World, sim};

const PROPERTY: Resource = Resource::Property;

#[tokio::test]
async fn a_foreign_link_ends_the_walk_and_never_sees_the_token() {
    let world = World::of(300).await;
    let trap = Trap::start().await.unwrap();
    world.simulator.faults().push(Fault::new(Trouble::ForeignLink(trap.origin())).on("Property"));
    let problem = world.fail(Job::InitialDownload, PROPERTY).await;
    assert!(problem.contains("not to the feed"), "{problem}");
    assert!(trap.journal().requests().is_empty(), "the foreign host was asked");
}

#[tokio::test]
async fn a_server_that_takes_top_for_its_limit_is_found_out_and_paged_by_key() {
    let world = World::of(350).await;
    world.simulator.faults().push(Fault::new(Trouble::NoLink).on("Property").forever());
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
    // The same for an update whose answer is exactly as long as it was asked to be.
    world.simulator.world().mass_restamp(sim(Resource::Property));
    world.succeed(Job::Update, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
}

#[tokio::test]
async fn a_server_that_pages_by_skip_is_found_out_and_paged_by_key() {
    let world = World::of(350).await;
    world.simulator.faults().push(Fault::new(Trouble::Unsorted).forever());
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
    assert!(
        world.simulator.journal().of("Property").iter().all(|r| r.param("$skip").is_none()),
        "it followed a $skip link"
    );
}

#[tokio::test]
async fn a_server_that_lists_in_no_order_is_paged_by_key() {
    let mut world = World::of(300).await;
    world.settings.paging = Paging::Key;
    world.settings.fetcher.page_size = 70;
    world.simulator.faults().push(Fault::new(Trouble::Unsorted).forever());
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(1);
    world.simulator.world().set_price(&key, 3.0);
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
    world.execute("update mls.property set first_seen_at = first_seen_at - interval '1 hour', written_at = written_at - interval '1 hour'").await;
    world.simulator.world().remove(sim(PROPERTY), &key);
    world.succeed(Job::Purge, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}
