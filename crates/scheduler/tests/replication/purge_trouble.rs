//! What a purge must survive without deleting one living record.

use std::time::Duration;

use spark_domain::{Job, Resource};
use spark_simulator::{Dialect, Fault, InTrouble, Trouble};

use crate::DIALECT;
use crate::harness::{World, sim};
use crate::purge::{PROPERTY, age, remove, settled};

/// Runs a purge under a fault; nothing may be deleted that lives, and nothing at all if it is to be void.
async fn purge_under(world: &World, fault: Fault) -> String {
    world.simulator.faults().push(fault);
    let problem = world.fail(Job::Purge, PROPERTY).await;
    world.simulator.faults().clear();
    problem
}

async fn assert_void(world: &World, rows: usize) {
    assert_eq!(world.keys(PROPERTY).await.len(), rows, "a void sweep deleted something");
    let due: bool = world
        .ask("select due_at > clock_timestamp() from replicator.checkpoint where job = 'purge' and resource = 'Property'")
        .await;
    assert!(due, "a void sweep is due again");
    let tombstones: i64 = world.ask("select count(*) from replicator.tombstone").await;
    assert_eq!(tombstones, 0);
}

#[tokio::test]
async fn a_sweep_cut_short_deletes_nothing() {
    let world = settled(250).await;
    remove(&world, 2);
    let problem =
        purge_under(&world, Fault::new(Trouble::NoLink).on("Property").matching("$select=ListingKey")).await;
    // A full page without a link is asked after at once; a token that is missing shows in the count.
    let said = match DIALECT {
        Dialect::Reso => "did not come to its end",
        Dialect::Spark => "promises",
    };
    assert!(problem.contains(said), "{problem}");
    assert_void(&world, 250).await;
}

#[tokio::test]
async fn a_sweep_that_lacks_more_keys_than_may_have_moved_deletes_nothing() {
    let world = settled(250).await;
    remove(&world, 2);
    let hollow = Fault::new(Trouble::LeavesOut(20)).on("Property").matching("$select=ListingKey");
    let problem = purge_under(&world, hollow).await;
    assert!(problem.contains("promises"), "{problem}");
    assert_void(&world, 250).await;
}

#[tokio::test]
async fn a_sweep_that_an_error_ends_deletes_nothing() {
    let world = settled(250).await;
    remove(&world, 2);
    for trouble in
        [Trouble::error(503, 1510), Trouble::error(403, 1019), Trouble::html(), Trouble::error(400, 1040)]
    {
        let fault = Fault::new(trouble).on("Property").matching("skiptoken").forever();
        purge_under(&world, fault).await;
        assert_void(&world, 250).await;
        world
            .execute("update replicator.feed set refused_at = null, blocked_at = null, blocked_reason = null")
            .await;
    }
}

#[tokio::test]
async fn zero_keys_delete_nothing() {
    let world = settled(120).await;
    let problem = purge_under(&world, Fault::new(Trouble::NoRecords).on("Property").forever()).await;
    assert!(problem.contains("no key at all"), "{problem}");
    assert_void(&world, 120).await;
}

#[tokio::test]
async fn a_lying_count_deletes_nothing_until_it_lied_the_same_way_three_times_and_then_waits() {
    let world = settled(120).await;
    remove(&world, 2);
    world.simulator.faults().push(Fault::new(Trouble::CountOff(30)).on("Property").forever());
    for _ in 0..2 {
        world.fail(Job::Purge, PROPERTY).await;
        assert_void(&world, 120).await;
    }
    let problem = world.fail(Job::Purge, PROPERTY).await;
    assert!(problem.contains("waits for approval") && problem.contains("three sweeps"), "{problem}");
    assert_eq!(world.keys(PROPERTY).await.len(), 120);
}

#[tokio::test]
async fn a_feed_without_count_waits_for_approval() {
    let world = settled(120).await;
    remove(&world, 2);
    world.simulator.faults().push(Fault::new(Trouble::NoCount).on("Property").forever());
    let problem = world.fail(Job::Purge, PROPERTY).await;
    assert!(problem.contains("no $count"), "{problem}");
    assert_eq!(world.keys(PROPERTY).await.len(), 120);
}

#[tokio::test]
async fn a_sweep_that_met_not_in_sync_deletes_nothing() {
    let world = settled(120).await;
    remove(&world, 2);
    // It answers in the end, yet what it showed before may be of a half-synced source.
    let problem = purge_under(&world, Fault::new(Trouble::d(503, 1024)).on("Property").times(2)).await;
    assert!(problem.contains("not in sync"), "{problem}");
    assert_void(&world, 120).await;
}

#[tokio::test]
async fn a_sweep_that_met_not_in_sync_before_its_page_was_too_much_deletes_nothing() {
    let world = settled(120).await;
    remove(&world, 2);
    world.simulator.faults().push(Fault::new(Trouble::d(503, 1515)).on("Property").nth(2));
    let problem = purge_under(&world, Fault::new(Trouble::d(503, 1024)).on("Property")).await;
    assert!(problem.contains("not in sync"), "{problem}");
    assert_void(&world, 120).await;
}

#[tokio::test]
async fn a_candidate_that_answers_when_asked_by_key_survives() {
    let world = settled(120).await;
    let living = world.simulator.world().keys(sim(PROPERTY)).remove(4);
    // The sweep does not show it, the count does not count it, but by key it is there.
    world.execute("delete from replicator.key_sweep").await;
    let hidden = format!("'{living}'");
    world.simulator.world().leave_role(sim(PROPERTY), &living);
    let watch = {
        let (world_view, journal, key) =
            (world.simulator.world().clone(), world.simulator.journal().clone(), living.clone());
        tokio::spawn(async move {
            // The moment the last count is asked for, the record is back.
            let asked =
                journal.wait_for(|entry| entry.param("$top") == Some("1"), Duration::from_secs(20)).await;
            world_view.enter_role(sim(PROPERTY), &key);
            asked.is_some()
        })
    };
    let report = world.succeed(Job::Purge, PROPERTY).await;
    assert!(watch.await.unwrap(), "no count was asked for after the sweep");
    let confirmed = world
        .simulator
        .journal()
        .of("Property")
        .iter()
        .any(|r| r.param("$filter").is_some_and(|f| f.contains(&hidden)));
    assert!(confirmed, "the candidate was not asked for by its key");
    assert_eq!(report.totals.deleted, 0);
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn a_server_that_misreads_key_lists_never_gets_a_living_record_deleted() {
    for trouble in [InTrouble::Nothing, InTrouble::Ignored, InTrouble::PageOfTen, InTrouble::Refused] {
        let world = settled(120).await;
        let gone = remove(&world, 3);
        world.simulator.faults().push(Fault::new(Trouble::In(trouble)).on("Property").forever());
        world.once(Job::Purge, PROPERTY).await;
        let ours = world.keys(PROPERTY).await;
        for key in world.simulator.world().keys(sim(PROPERTY)) {
            assert!(ours.contains(&key), "{trouble:?} had {key} deleted");
        }
        // Another form was understood, so what is gone could be confirmed after all.
        assert!(gone.iter().all(|key| !ours.contains(key)), "{trouble:?}: the next form was not tried");
    }
}

#[tokio::test]
async fn a_server_that_answers_200_and_nothing_to_every_key_list_deletes_nothing() {
    let world = settled(120).await;
    remove(&world, 3);
    for matching in ["$filter=ListingKey", "Property(", "/listings/"] {
        world
            .simulator
            .faults()
            .push(Fault::new(Trouble::NoRecords).on("Property").matching(matching).forever());
    }
    let problem = world.fail(Job::Purge, PROPERTY).await;
    assert!(problem.contains("misreads"), "{problem}");
    assert_eq!(world.keys(PROPERTY).await.len(), 120);
}

#[tokio::test]
async fn a_record_that_arrives_during_the_sweep_survives() {
    let world = settled(120).await;
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(0);
    // While the sweep is under way another job sees the record that the sweep has missed.
    world.simulator.world().leave_role(sim(PROPERTY), &key);
    let fault = Fault::new(Trouble::error(503, 1510)).on("Property").matching("skiptoken").forever();
    world.simulator.faults().push(fault);
    world.settings_page(50).await;
    world.simulator.faults().clear();
    world.simulator.world().enter_role(sim(PROPERTY), &key);
    world.simulator.world().set_price(&key, 5.0);
    world.succeed(Job::Update, PROPERTY).await;
    world.simulator.world().leave_role(sim(PROPERTY), &key);
    world.execute("update mls.property set written_at = written_at - interval '1 hour'").await;
    let report = world.succeed(Job::Purge, PROPERTY).await;
    assert_eq!(report.totals.deleted, 0, "a job saw the record since the sweep began");
    age(&world).await;
}

impl World {
    /// A purge that is interrupted within its sweep: the first page is staged, the second refused. It is
    /// stopped and not failed, so its sweep stays open.
    async fn settings_page(&self, page_size: u32) {
        let mut settings = self.settings.clone();
        settings.fetcher.page_size = page_size;
        settings.fetcher.retry.attempts = 1_000;
        let stop = tokio_util::sync::CancellationToken::new();
        let run = spark_scheduler::run_once(
            settings,
            &self.store,
            &self.metrics,
            Job::Purge,
            Some(PROPERTY),
            false,
            &stop,
        );
        let stopping = async {
            self.until("the first page is staged", "select count(*) > 0 from replicator.key_sweep").await;
            stop.cancel();
        };
        let (reports, ()) = tokio::join!(run, stopping);
        assert!(reports.unwrap()[0].problem.is_some(), "the purge was not interrupted");
    }
}

#[tokio::test]
async fn a_resource_whose_last_record_left_is_emptied_by_a_person_and_never_by_itself() {
    const OFFICE: Resource = Resource::Office;
    let world = World::of(60).await;
    world.succeed(Job::InitialDownload, OFFICE).await;
    world.execute("update mls.office set first_seen_at = first_seen_at - interval '1 hour', written_at = written_at - interval '1 hour'").await;
    let held = world.keys(OFFICE).await;
    assert!(!held.is_empty());
    for key in &held {
        assert!(world.simulator.world().remove(sim(OFFICE), key));
    }
    // Sweeps within the hour are one word, however many there are.
    for hour in 0..2 {
        for _ in 0..3 {
            let problem = world.fail(Job::Purge, OFFICE).await;
            assert!(problem.contains("no key at all"), "hour {hour}: {problem}");
        }
        world
            .execute("update replicator.resource set empty_sweep_at = empty_sweep_at - interval '1 hour'")
            .await;
    }
    let problem = world.fail(Job::Purge, OFFICE).await;
    assert!(problem.contains("waits for approval") && problem.contains("$count of 0"), "{problem}");
    assert_eq!(world.keys(OFFICE).await, held, "it was not waited for");
    let plan = world.store.open_plan(world.feed(), OFFICE).await.unwrap().unwrap();
    assert_eq!((plan.candidates.len(), plan.refusal.as_deref()), (held.len(), Some("incomplete_listing")));

    // One of them answers by its key after all: the approval does not reach it.
    let alive = held.iter().next().unwrap();
    let (record, address) = match DIALECT {
        Dialect::Reso => (
            format!(r#"{{"OfficeKey":"{alive}","ModificationTimestamp":"2020-01-01T00:00:00Z"}}"#),
            format!("('{alive}')"),
        ),
        Dialect::Spark => (
            format!(
                r#"{{"D":{{"Success":true,"Results":[{{"Id":"{alive}","ModificationTimestamp":"2020-01-01T00:00:00Z"}}]}}}}"#
            ),
            format!("/accounts/{alive}"),
        ),
    };
    let answer = Trouble::Answer { status: 200, content_type: "application/json", body: record };
    world.simulator.faults().push(Fault::new(answer).matching(&address).forever());
    let lease =
        world.store.acquire_lease(world.feed(), "test", Duration::from_secs(30)).await.unwrap().unwrap();
    world.store.approve_plan(&lease, plan.id, "ada", Duration::from_hours(24)).await.unwrap();
    world.store.release_lease(&lease).await.unwrap();
    world.once(Job::Purge, OFFICE).await;
    let left = world.keys(OFFICE).await;
    assert_eq!(left.into_iter().collect::<Vec<_>>(), std::slice::from_ref(alive));
    let approved: i64 =
        world.ask("select count(*) from replicator.tombstone where approved_by = 'ada'").await;
    assert_eq!(usize::try_from(approved).unwrap(), held.len() - 1);
}
