use std::time::Duration;

use spark_domain::{Job, Relation, Resource};
use spark_store::RequestKind;

use crate::harness::{World, sim};

pub(crate) const PROPERTY: Resource = Resource::Property;

/// A feed downloaded; the rows are made old enough to be candidates.
pub(crate) async fn settled(listings: usize) -> World {
    let world = World::of(listings).await;
    world.succeed(Job::InitialDownload, PROPERTY).await;
    age(&world).await;
    world
}

/// What was written just now is never purged; tests do not wait 20 minutes for that.
pub(crate) async fn age(world: &World) {
    world
        .execute("update mls.property set first_seen_at = first_seen_at - interval '1 hour', written_at = written_at - interval '1 hour'")
        .await;
}

pub(crate) fn remove(world: &World, count: usize) -> Vec<String> {
    let keys: Vec<String> = world.simulator.world().keys(sim(PROPERTY)).into_iter().take(count).collect();
    for key in &keys {
        assert!(world.simulator.world().remove(sim(PROPERTY), key));
    }
    keys
}

#[tokio::test]
async fn what_is_gone_goes_with_all_that_hangs_below_it_and_leaves_a_tombstone() {
    let world = World::of(80).await;
    world.succeed(Job::InitialDownload, PROPERTY).await;
    world.succeed(Job::MediaRefresh, PROPERTY).await;
    age(&world).await;
    let gone = remove(&world, 3);
    let report = world.succeed(Job::Purge, PROPERTY).await;
    assert_eq!(report.totals.deleted, 3);
    world.assert_equal(PROPERTY).await;
    for key in &gone {
        assert!(
            world.relation(PROPERTY, key, Relation::Media).await.is_empty(),
            "media outlived its listing"
        );
    }
    let tombstones: Vec<(String, String)> =
        sqlx::query_as("select key, reason from replicator.tombstone order by key")
            .fetch_all(&mut world.connection().await)
            .await
            .unwrap();
    let expected: Vec<_> = gone.iter().map(|key| (key.clone(), "gone".to_owned())).collect();
    assert_eq!(tombstones, expected);
    let orphans: i64 = world.ask("select count(*) from replicator.relation_set s where not exists (select from mls.property p where p.key = s.key) and s.resource = 'Property'").await;
    assert_eq!(orphans, 0);
}

#[tokio::test]
async fn what_was_written_within_the_cache_window_is_not_purged() {
    let world = World::of(80).await;
    world.succeed(Job::InitialDownload, PROPERTY).await;
    // A stale cache may hide from the list, and from a read by key, what it showed a moment ago.
    remove(&world, 3);
    let report = world.succeed(Job::Purge, PROPERTY).await;
    assert_eq!(report.totals.deleted, 0, "within the margin");
    age(&world).await;
    let report = world.succeed(Job::Purge, PROPERTY).await;
    assert_eq!(report.totals.deleted, 3, "outside the margin");
}

#[tokio::test]
async fn nothing_that_lives_is_deleted_by_a_purge_without_losses() {
    let world = settled(150).await;
    let report = world.succeed(Job::Purge, PROPERTY).await;
    assert_eq!(report.totals.deleted, 0);
    world.assert_equal(PROPERTY).await;
    let sweep: Vec<_> = world
        .simulator
        .journal()
        .of("Property")
        .into_iter()
        .filter(|r| r.param("$select") == Some("ListingKey"))
        .collect();
    assert!(sweep.len() >= 2, "a sweep and a count after it");
}

#[tokio::test]
async fn a_plan_above_the_guard_is_refused_and_waits_for_an_approval_bound_to_it() {
    let world = settled(100).await;
    remove(&world, 40);
    let problem = world.fail(Job::Purge, PROPERTY).await;
    assert!(problem.contains("40 of 100"), "{problem}");
    assert_eq!(world.keys(PROPERTY).await.len(), 100, "a refused plan deleted something");
    let plan = world.store.open_plan(world.feed(), PROPERTY).await.unwrap().unwrap();
    assert_eq!((plan.candidates.len(), plan.refusal.as_deref()), (40, Some("max_ratio")));
    let rests: bool = world.ask("select due_at > clock_timestamp() from replicator.checkpoint where job = 'purge' and resource = 'Property'").await;
    assert!(rests, "a refused plan is made anew at the next regular time, not at once");

    // Two more vanish after the plan was shown; the approval does not cover them. One that it names comes back.
    let late = remove(&world, 2);
    let revived = plan.candidates[0].key.as_str().to_owned();
    world.simulator.world().enter_role(sim(PROPERTY), &revived);
    let daemon = world.daemon();
    let request = RequestKind::PurgeApprove { plan: plan.id };
    world.store.submit_request(world.feed(), &request, "ada").await.unwrap();
    let named = world.simulator.world().keys(sim(PROPERTY)).len();
    world
        .until(
            "the approved keys are gone",
            "select count(*) >= 38 from replicator.tombstone where approved_by = 'ada'",
        )
        .await;
    daemon.stop_gently();
    daemon.stopped().await;
    let ours = world.keys(PROPERTY).await;
    let buried: Vec<String> =
        sqlx::query_scalar("select key from replicator.tombstone where approved_by = 'ada'")
            .fetch_all(&mut world.connection().await)
            .await
            .unwrap();
    let allowed: Vec<&str> = plan.candidates.iter().map(|candidate| candidate.key.as_str()).collect();
    assert!(
        buried.iter().all(|key| allowed.contains(&key.as_str())),
        "an approval deleted more than it named"
    );
    assert!(late.iter().all(|key| !buried.contains(key)));
    assert!(ours.len() >= named, "{} rows for {named} records", ours.len());
}

#[tokio::test]
async fn an_approval_of_a_plan_that_is_not_open_changes_nothing() {
    let world = settled(60).await;
    let daemon = world.daemon();
    let request = RequestKind::PurgeApprove { plan: spark_store::PlanId(4711) };
    let id = world.store.submit_request(world.feed(), &request, "ada").await.unwrap();
    let answer = loop {
        match world.store.request_result(id).await.unwrap() {
            Some(answer) => break answer,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert!(answer.message.contains("no longer open"), "{}", answer.message);
    daemon.stop_gently();
    daemon.stopped().await;
}

#[tokio::test]
async fn purge_plan_shows_what_would_go_and_deletes_nothing() {
    let world = settled(60).await;
    let gone = remove(&world, 2);
    world.once_with(&world.settings, Job::Purge, PROPERTY, true).await;
    assert_eq!(world.keys(PROPERTY).await.len(), 60);
    let plan = world.store.open_plan(world.feed(), PROPERTY).await.unwrap().unwrap();
    let named: Vec<_> = plan.candidates.iter().map(|candidate| candidate.key.to_string()).collect();
    assert_eq!(named, gone);
}

#[tokio::test]
async fn missing_records_are_fetched() {
    let world = settled(80).await;
    let late: Vec<String> = world.simulator.world().keys(sim(PROPERTY)).into_iter().take(3).collect();
    let forgotten =
        "delete from mls.property where key in (select key from mls.property order by key limit 3)";
    world.execute(forgotten).await;
    world.execute("update replicator.resource set rows_held = 77 where resource = 'Property'").await;
    world.succeed(Job::Purge, PROPERTY).await;
    assert!(!world.keys(PROPERTY).await.contains(&late[0]));
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}

#[tokio::test]
async fn very_many_missing_records_order_a_resync() {
    let world = settled(60).await;
    world
        .execute("delete from mls.property where key in (select key from mls.property order by key limit 30)")
        .await;
    world.succeed(Job::Purge, PROPERTY).await;
    let ordered: bool = world
        .ask("select due_at is not null from replicator.checkpoint where job = 'resync' and resource = 'Property'")
        .await;
    assert!(ordered);
}

#[tokio::test]
async fn ended_open_houses_leave_without_the_guard() {
    let settings = spark_simulator::Settings { open_houses: Some(40), ..crate::harness::small(50) };
    let world = World::start(settings).await;
    world.succeed(Job::InitialDownload, Resource::OpenHouse).await;
    world.execute("update mls.open_house set first_seen_at = first_seen_at - interval '1 hour', written_at = written_at - interval '1 hour', open_house_end_time = clock_timestamp() - interval '1 minute'").await;
    for key in world.simulator.world().keys(sim(Resource::OpenHouse)) {
        world.simulator.world().open_house_end(&key);
    }
    let report = world.succeed(Job::Purge, Resource::OpenHouse).await;
    assert_eq!(report.totals.deleted, 40);
    let reasons: bool = world.ask("select bool_and(reason = 'ended') from replicator.tombstone").await;
    assert!(reasons);
}

#[tokio::test]
async fn a_relisted_listing_lives_under_its_new_key_and_the_old_one_goes() {
    let world = settled(60).await;
    let old = world.simulator.world().keys(sim(PROPERTY)).remove(9);
    let new = world.simulator.world().relist(&old).unwrap();
    world.succeed(Job::Update, PROPERTY).await;
    world.succeed(Job::Purge, PROPERTY).await;
    let keys = world.keys(PROPERTY).await;
    assert!(keys.contains(&new) && !keys.contains(&old));
}

#[tokio::test]
async fn a_void_sweep_whose_regular_time_has_passed_rests_before_it_is_tried_again() {
    let mut world = settled(60).await;
    world.settings.pace.retry_unit = Duration::from_mins(1);
    world.execute("insert into replicator.checkpoint (feed, resource, job, last_success_at) values ('beaches', 'Property', 'purge', clock_timestamp() - interval '3 days')").await;
    world.simulator.faults().push(
        spark_simulator::Fault::new(spark_simulator::Trouble::CountOff(30))
            .on("Property")
            .matching("$count=true")
            .forever(),
    );
    let daemon = world.daemon();
    world.until("the sweep was void", "select count(*) = 1 from replicator.job_run where job = 'purge' and resource = 'Property' and outcome = 'failed'").await;
    world
        .until(
            "updates went on",
            "select count(*) > 5 from replicator.job_run where job = 'update' and resource = 'Property'",
        )
        .await;
    let sweeps: i64 = world
        .ask("select count(*) from replicator.job_run where job = 'purge' and resource = 'Property'")
        .await;
    assert_eq!(sweeps, 1, "the void sweep was repeated at once");
    daemon.stop_gently();
    daemon.stopped().await;
}

#[tokio::test]
async fn an_approval_given_while_a_sweep_is_concluded_stands() {
    let world = settled(100).await;
    remove(&world, 40);
    world.fail(Job::Purge, PROPERTY).await;
    let plan = world.store.open_plan(world.feed(), PROPERTY).await.unwrap().unwrap();
    // The next sweep has been judged, and its candidates are being asked for, when the approval comes.
    let slow = spark_simulator::Trouble::Stall(Duration::from_secs(1));
    world.simulator.faults().push(spark_simulator::Fault::new(slow).on("Property").matching("ListingKey in"));
    world.simulator.journal().clear();
    let approve = async {
        let asked = |entry: &spark_simulator::Entry| entry.url().contains("ListingKey in");
        world.simulator.journal().wait_for(asked, Duration::from_secs(20)).await.unwrap();
        world.execute("update replicator.purge_plan set approved_by = 'ada', approved_at = clock_timestamp(), approval_expires_at = clock_timestamp() + interval '1 hour' where state = 'open'").await;
    };
    tokio::join!(world.succeed(Job::Purge, PROPERTY), approve);
    let still = world.store.open_plan(world.feed(), PROPERTY).await.unwrap().unwrap();
    assert_eq!(still.id, plan.id, "the approved plan was superseded");
    let report = world.succeed(Job::Purge, PROPERTY).await;
    assert_eq!(report.totals.deleted, 40);
}

#[tokio::test]
async fn a_key_that_returns_right_after_its_purge_waits_for_a_by_key_read() {
    let mut world = settled(60).await;
    world.settings.cache_window = Duration::from_secs(5);
    let key = world.simulator.world().keys(sim(PROPERTY)).remove(9);
    world.simulator.world().leave_role(sim(PROPERTY), &key);
    world.succeed(Job::Purge, PROPERTY).await;
    world.simulator.world().enter_role(sim(PROPERTY), &key);
    world.succeed(Job::Resync, PROPERTY).await;
    assert!(!world.keys(PROPERTY).await.contains(&key), "it came back at once");
    world
        .until(
            "the by-key read is due",
            "select count(*) = 1 from replicator.reread where due_at <= clock_timestamp()",
        )
        .await;
    world.succeed(Job::Update, PROPERTY).await;
    world.assert_equal(PROPERTY).await;
}
