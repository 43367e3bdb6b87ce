use std::collections::BTreeSet;

use spark_domain::{Job, Resource};
use spark_simulator::{Dialect, Entry, Fault, Trouble};

use crate::DIALECT;
use crate::harness::{World, sim};

#[tokio::test]
async fn the_initial_download_equals_the_feed_row_for_row() {
    let world = World::of(250).await;
    for resource in world.settings.resources.iter().copied().filter(|resource| resource.has_updates()) {
        let report = world.succeed(Job::InitialDownload, resource).await;
        let shown = world.simulator.world().count(sim(resource)) as u64;
        assert_eq!(report.totals.inserted, shown, "{resource}");
        world.assert_equal(resource).await;
    }
}

#[tokio::test]
async fn the_initial_download_asks_for_nothing_but_pages_and_a_count() {
    let world = World::of(450).await;
    world.succeed(Job::InitialDownload, Resource::Property).await;
    let allowed = match DIALECT {
        Dialect::Reso => BTreeSet::from(["$top", "$count", "$select", "$skiptoken"]),
        Dialect::Spark => BTreeSet::from(["_limit", "_skiptoken", "_pagination"]),
    };
    let requests = world.simulator.journal().of("Property");
    assert!(requests.len() >= 3, "{} requests", requests.len());
    for request in &requests {
        let asked: BTreeSet<&str> = request.params.iter().map(|(name, _)| name.as_str()).collect();
        assert!(asked.is_subset(&allowed), "{asked:?}");
        assert!(request.token_right);
    }
    let begin: Vec<_> = requests.iter().filter(|request| request.after().is_none()).collect();
    assert!(begin.iter().any(|request| request.top() == Some(100)), "{begin:?}");
    assert_eq!(begin.iter().filter(|request| request.counts()).count(), 1, "counted once: {begin:?}");
}

#[tokio::test]
async fn a_download_that_stops_after_any_page_goes_on_behind_the_last_committed_one() {
    let mut world = World::of(450).await;
    world.settings.fetcher.page_size = 50;
    // Every continuation is refused for good from the second page on, until the fault is lifted.
    for page in 1..4 {
        let fault =
            Fault::new(Trouble::error(503, 1510)).on("Property").matching("skiptoken").nth(1).forever();
        world.simulator.faults().push(fault);
        world.fail(Job::InitialDownload, Resource::Property).await;
        world.simulator.faults().clear();
        let held: i64 = world.ask("select count(*) from mls.property").await;
        let records: i64 = world
            .ask("select walk_records from replicator.checkpoint where resource = 'Property' and job = 'initial_download'")
            .await;
        assert_eq!(held, records, "rows and checkpoint part after stop {page}");
        let link: Option<String> = world
            .ask("select walk_link from replicator.checkpoint where resource = 'Property' and job = 'initial_download'")
            .await;
        world.simulator.journal().clear();
        let one_more =
            Fault::new(Trouble::error(503, 1510)).on("Property").matching("skiptoken").nth(2).forever();
        world.simulator.faults().push(one_more);
        world.fail(Job::InitialDownload, Resource::Property).await;
        world.simulator.faults().clear();
        let first = world.simulator.journal().of("Property").remove(0);
        let token = first.param("$skiptoken").expect("it began anew").to_owned();
        assert!(link.unwrap().contains(&token), "it went on somewhere else");
    }
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
}

#[tokio::test]
async fn a_refused_continuation_starts_the_walk_over_and_still_ends_in_equality() {
    let world = World::of(350).await;
    world.simulator.faults().push(Fault::new(Trouble::ExpiredToken).on("Property").nth(2).times(2));
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
    let is_first = |entry: &&Entry| entry.after().is_none() && entry.top().is_some();
    let firsts = world.simulator.journal().of("Property").iter().filter(is_first).count();
    assert_eq!(firsts, 2, "one start and one start over");
}

#[tokio::test]
async fn a_walk_that_is_refused_again_and_again_rests_and_says_so() {
    let mut world = World::of(350).await;
    world.settings.fetcher.page_size = 100;
    world.simulator.faults().push(Fault::new(Trouble::ExpiredToken).on("Property").forever());
    let problem = world.fail(Job::InitialDownload, Resource::Property).await;
    assert!(problem.contains("refused to go on"), "{problem}");
    let rests: bool = world
        .ask("select due_at > clock_timestamp() from replicator.checkpoint where job = 'initial_download' and resource = 'Property'")
        .await;
    assert!(rests);
}

#[tokio::test]
async fn a_list_that_ends_short_of_its_count_is_no_success() {
    let world = World::of(250).await;
    world.simulator.faults().push(Fault::new(Trouble::CountOff(50)).on("Property").forever());
    for attempt in 1..=4 {
        let problem = world.fail(Job::InitialDownload, Resource::Property).await;
        assert!(problem.contains("promises 300"), "{problem}");
        let completed: bool = world
            .ask("select initial_download_completed_at is not null or complete_through_at is not null from replicator.resource where resource = 'Property'")
            .await;
        assert!(!completed, "a short list counted as a success at attempt {attempt}");
    }
    world.simulator.faults().clear();
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
}

#[tokio::test]
async fn nothing_that_builds_on_a_download_runs_before_it_is_complete() {
    let world = World::of(60).await;
    for job in [Job::Update, Job::Lookback, Job::MediaRefresh, Job::Purge, Job::Resync] {
        let problem = world.fail(job, Resource::Property).await;
        assert!(problem.contains("never downloaded"), "{job}: {problem}");
    }
    let moved: bool = world.ask("select bool_or(cursor_at is not null) from replicator.checkpoint").await;
    assert!(!moved, "a cursor moved before the download");
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.succeed(Job::MediaRefresh, Resource::Property).await;
    world.assert_media_equal().await;
}

#[tokio::test]
async fn a_resync_writes_nothing_that_is_known_and_deletes_nothing() {
    let world = World::of(120).await;
    world.succeed(Job::InitialDownload, Resource::Property).await;
    let before: String = world
        .ask("select md5(string_agg(key || xmin::text || ctid::text, ',' order by key)) from mls.property")
        .await;
    let gone = world.simulator.world().keys(sim(Resource::Property)).remove(0);
    world.simulator.world().remove(sim(Resource::Property), &gone);
    for noise in
        [Trouble::ShuffledMembers, Trouble::IntegersAsFloats, Trouble::OtherHost("other.example".to_owned())]
    {
        world.simulator.faults().push(Fault::new(noise).on("Property").forever());
    }
    let report = world.succeed(Job::Resync, Resource::Property).await;
    assert_eq!((report.totals.inserted, report.totals.updated, report.totals.unchanged), (0, 0, 119));
    let after: String = world
        .ask("select md5(string_agg(key || xmin::text || ctid::text, ',' order by key)) from mls.property")
        .await;
    assert_eq!(before, after, "rows were written anew");
}

#[tokio::test]
async fn a_page_that_cannot_be_stored_is_not_behind_its_checkpoint() {
    let world = World::of(250).await;
    world.execute("alter table replicator.quarantine rename to away").await;
    world.fail(Job::InitialDownload, Resource::Property).await;
    world.execute("alter table replicator.away rename to quarantine").await;
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
}

#[tokio::test]
async fn a_changed_filter_or_exclusion_orders_a_resync() {
    let mut world = World::of(60).await;
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.settings.exclude.insert("PublicRemarks".to_owned());
    let daemon = world.daemon();
    world
        .until(
            "the excluded field is gone everywhere",
            "select count(*) = 60 and not bool_or(body ? 'PublicRemarks' or public_remarks is not null) from mls.property",
        )
        .await;
    daemon.stop_gently();
    daemon.stopped().await;
}

#[tokio::test]
async fn pages_grow_to_their_weight_and_shrink_when_the_feed_cannot_deliver() {
    let world = World::of(900).await;
    world.simulator.faults().push(Fault::new(Trouble::TooSlowAbove(150)).on("Property").forever());
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
    let tops: Vec<u32> = world
        .simulator
        .journal()
        .of("Property")
        .iter()
        .filter_map(|r| r.param("$top")?.parse().ok())
        .collect();
    assert!(tops.iter().any(|top| *top > 150), "it never tried a larger page: {tops:?}");
    assert!(tops.iter().all(|top| (25..=1000).contains(top)), "{tops:?}");
}

#[tokio::test]
async fn the_measured_nasty_shape_is_taken_in_whole() {
    let settings = spark_simulator::Settings {
        listings: 40,
        shape: spark_simulator::Shape::measured(),
        ..spark_simulator::Settings::default()
    };
    let world = World::start(settings).await;
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
    let priced: i64 = world.ask("select count(*) from mls.property where list_price is not null").await;
    assert!(priced > 0, "no typed column was filled");
}
