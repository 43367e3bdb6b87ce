//! What the feed says of its fields, which only the RESO dialect does.

use std::time::Duration;

use spark_domain::{Job, Resource};
use spark_simulator::{Fault, PhotoChange, Trouble};

use crate::answers::filled;
use crate::harness::sim;

const PROPERTY: Resource = Resource::Property;

#[tokio::test]
async fn a_field_that_the_mls_removed_is_named_and_asked_for_no_more_once_the_metadata_says_so() {
    let world = filled(20).await;
    let body = r#"{"D":{"Success":false,"Code":1040,"Message":"Invalid field","SparkQLErrors":[{"Token":"VideosChangeTimestamp","Message":"Unknown field"}]}}"#;
    let refusal = Trouble::Answer { status: 400, content_type: "application/json", body: body.to_owned() };
    let fault = Fault::new(refusal).on("Property").matching("$select").matching("VideosChangeTimestamp");
    world.simulator.faults().push(fault.forever());
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(5);
    world.simulator.world().change_photos(&key, PhotoChange::Replace);
    world.succeed(Job::Update, PROPERTY).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    world.assert_media_equal().await;
    let due: bool = world
        .ask("select due_at <= clock_timestamp() from replicator.checkpoint where job = 'metadata'")
        .await;
    assert!(due, "the metadata was not ordered");

    let served: String = world.ask("select document from replicator.metadata").await;
    let without = served.replace("\"VideosChangeTimestamp\"", "\"ClipsChangeTimestamp\"");
    let changed = Trouble::Answer { status: 200, content_type: "application/xml", body: without };
    world.simulator.faults().push(Fault::new(changed).matching("$metadata").forever());
    world.succeed(Job::Metadata, PROPERTY).await;
    // Stamps are whole seconds: two changes within one would look like one.
    world.simulator.clock().advance(Duration::from_secs(2));
    world.simulator.world().change_photos(&key, PhotoChange::Replace);
    world.succeed(Job::Update, PROPERTY).await;
    world.simulator.journal().clear();
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    let selected = world.last_request("Property", "$expand");
    let selected = selected.param("$select").unwrap();
    assert!(selected.contains("PhotosChangeTimestamp") && !selected.contains("VideosChange"), "{selected}");
    world.assert_media_equal().await;
}

#[tokio::test]
async fn a_question_that_names_an_unknown_field_says_which_and_has_the_metadata_read_again() {
    let mut world = filled(5).await;
    world.succeed(Job::Update, PROPERTY).await;
    world.settings.fetcher.filter = "CarriageHouseYN eq true".to_owned();
    let problem = world.fail(Job::Update, PROPERTY).await;
    assert!(problem.contains("1040") && problem.contains("CarriageHouseYN"), "{problem}");
    let due: bool = world
        .ask("select due_at <= clock_timestamp() from replicator.checkpoint where job = 'metadata'")
        .await;
    assert!(due, "the metadata was not ordered");
    let off: bool = world.ask("select bool_or(off_at is not null) from replicator.resource").await;
    assert!(!off, "a field took its resource along");
}
