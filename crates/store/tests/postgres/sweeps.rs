//! Sweeps and purges: nothing goes that the feed shows, and everything that goes leaves a tombstone (P4).

use std::time::Duration;

use spark_domain::plan::reread::RereadReason;
use spark_domain::{Checkpoint, Job, RecordKey, Resource, Timestamp};
use spark_store::{Candidate, NewPurgePlan, PlanId, SweepId, SweepPage};

use crate::fixtures::{Bench, key, listing, listing_with};

const R: Resource = Resource::Property;

/// A bench with the listings `a` to `e`, and a sweep that lists `a`, `b`, `x` twice over.
async fn swept() -> (Bench, SweepId, Timestamp) {
    let bench = Bench::new().await;
    let texts: Vec<String> = ["a", "b", "c", "d", "e"].iter().map(|key| listing(key, 1, "1")).collect();
    bench.listings(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let began_at = bench.store().now().await.unwrap();
    let sweep = bench.store().begin_sweep(&bench.lease, R, Job::Purge, began_at).await.unwrap();
    for page in 1..=2 {
        stage(&bench, sweep, page, &["a", "b", "x"]).await;
    }
    (bench, sweep, began_at)
}

async fn stage(bench: &Bench, sweep: SweepId, page: u32, keys: &[&str]) {
    let keys: Vec<RecordKey> = keys.iter().map(|text| key(text)).collect();
    let position = Checkpoint { unsynced_passes: page, ..Checkpoint::default() };
    bench
        .store()
        .stage_keys(&bench.lease, bench.run, R, Job::Purge, sweep, page, &keys, &position)
        .await
        .unwrap();
}

async fn candidates(bench: &Bench, sweep: SweepId, before: Timestamp) -> Vec<Candidate> {
    bench.store().purge_candidates(bench.lease.feed(), R, sweep, before, None, 100).await.unwrap()
}

fn keys_of(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|each| each.key.as_str()).collect()
}

async fn plan(bench: &Bench, sweep: SweepId, keys: &[Candidate], refusal: Option<&str>) -> PlanId {
    let plan = NewPurgePlan {
        resource: R,
        sweep,
        began_at: bench.store().now().await.unwrap(),
        rows_held: 5,
        listed: 3,
        keys,
        refusal,
        explanation: "in words",
    };
    bench.store().save_plan(&bench.lease, &plan).await.unwrap().unwrap()
}

async fn purge(
    bench: &Bench,
    sweep: SweepId,
    plan: PlanId,
    approved: bool,
    batch: &[Candidate],
) -> Result<u64, String> {
    let purge = bench.store().execute_purge(&bench.lease, bench.run, R, sweep, plan, approved, batch);
    purge.await.map_err(|error| error.to_string())
}

async fn left(bench: &Bench) -> String {
    bench.database.ask("select coalesce(string_agg(key, ' ' order by key), '') from mls.property").await
}

#[tokio::test]
async fn candidates_and_missing_keys_are_exact() {
    let (bench, sweep, began_at) = swept().await;
    // Another job sees `c`, and a new `f` comes while the sweep runs.
    bench.listings(&[&listing("c", 1, "1"), &listing("f", 1, "1")]).await;
    assert_eq!(keys_of(&candidates(&bench, sweep, began_at).await), ["d", "e"]);
    let page = bench
        .store()
        .purge_candidates(bench.lease.feed(), R, sweep, began_at, Some(&key("d")), 1)
        .await
        .unwrap();
    assert_eq!(keys_of(&page), ["e"]);
    let missing = bench.store().missing_keys(bench.lease.feed(), R, sweep, None, 9).await.unwrap();
    assert_eq!(missing, [key("x")]);
    let none = bench.store().missing_keys(bench.lease.feed(), R, sweep, Some(&key("x")), 9).await.unwrap();
    assert_eq!(none, []);
    let feed = bench.lease.feed();
    let listed = bench.store().listed_key(feed, R, sweep, 0).await.unwrap().unwrap();
    let another = bench.store().listed_key(feed, R, sweep, 1).await.unwrap().unwrap();
    assert!(listed != another && ["a", "b", "x"].contains(&listed.as_str()), "{listed} {another}");
    let summary = bench.store().sweep_summary(bench.lease.feed(), R, sweep, began_at).await.unwrap();
    assert_eq!((summary.listed, summary.ours, summary.new_meanwhile), (3, 6, 1));
    assert_eq!((summary.candidates, summary.missing), (2, 1));
}

#[tokio::test]
async fn rows_written_within_the_margin_are_no_candidates() {
    let (bench, sweep, began_at) = swept().await;
    assert_eq!(candidates(&bench, sweep, began_at - chrono::Duration::minutes(20)).await, []);
}

#[tokio::test]
async fn a_missing_key_in_quarantine_is_not_fetched_again() {
    let (bench, sweep, _) = swept().await;
    bench.listings(&[&listing_with("x", 1, r#""Odd":1e200000"#)]).await;
    let missing = bench.store().missing_keys(bench.lease.feed(), R, sweep, None, 9).await.unwrap();
    assert_eq!(missing, []);
}

#[tokio::test]
async fn a_purge_deletes_with_everything_below_and_leaves_tombstones() {
    let (bench, sweep, began_at) = swept().await;
    let doomed = candidates(&bench, sweep, began_at).await;
    assert_eq!(keys_of(&doomed), ["c", "d", "e"]);
    bench
        .store()
        .add_rereads(&bench.lease, R, RereadReason::Event, &[key("c"), key("a")], began_at)
        .await
        .unwrap();
    bench
        .database
        .run(
            "insert into mls.media (feed, parent_resource, parent_key, key, hash, body, first_seen_at, written_at) \
             select 'beaches', 'Property', k, 'm', decode(repeat('00', 16), 'hex'), '{}', now(), now() from unnest('{a,c}'::text[]) k",
        )
        .await;
    let plan = plan(&bench, sweep, &doomed, None).await;
    assert_eq!(purge(&bench, sweep, plan, false, &doomed).await, Ok(3));
    assert_eq!(left(&bench).await, "a b");
    let rest: String = bench
        .database
        .ask(
            "select (select string_agg(parent_key, ',') from mls.media) || ' ' || \
             (select string_agg(distinct key, ',') from replicator.relation_set) || ' ' || \
             (select string_agg(key, ',') from replicator.reread) || ' ' || \
             (select rows_held from replicator.resource where resource = 'Property')",
        )
        .await;
    assert_eq!(rest, "a a,b a 2");
    let tombs = bench.store().tombstones(bench.lease.feed(), R, 9).await.unwrap();
    assert_eq!(tombs.len(), 3);
    assert!(tombs.iter().all(|tomb| tomb.reason == "gone" && tomb.modified_at.is_some()));
    assert_eq!(bench.store().purged_unapproved_since(bench.lease.feed(), R, began_at).await.unwrap(), 3);
}

#[tokio::test]
async fn what_changed_was_seen_or_is_not_of_the_plan_survives() {
    let (bench, sweep, began_at) = swept().await;
    let doomed = candidates(&bench, sweep, began_at).await;
    let plan = plan(&bench, sweep, &doomed[..2], None).await;
    // `c` changes behind our back; `d` is seen by another job though it did not change; `e` is not of the plan.
    bench
        .database
        .run("update mls.property set hash = decode(repeat('07', 16), 'hex') where key = 'c'")
        .await;
    bench.listings(&[&listing("d", 1, "1")]).await;
    assert_eq!(purge(&bench, sweep, plan, false, &doomed).await, Ok(0));
    assert_eq!(left(&bench).await, "a b c d e");
}

#[tokio::test]
async fn a_listed_key_survives_even_a_plan_that_names_it() {
    let (bench, sweep, began_at) = swept().await;
    let doomed = candidates(&bench, sweep, began_at).await;
    stage(&bench, sweep, 3, &["c", "d"]).await;
    let plan = plan(&bench, sweep, &doomed, None).await;
    assert_eq!(purge(&bench, sweep, plan, false, &doomed).await, Ok(1));
    assert_eq!(left(&bench).await, "a b c d");
}

#[tokio::test]
async fn a_refused_plan_deletes_nothing_until_a_person_approves_it() {
    let (bench, sweep, began_at) = swept().await;
    let doomed = candidates(&bench, sweep, began_at).await;
    let plan = plan(&bench, sweep, &doomed, Some("share")).await;
    assert!(purge(&bench, sweep, plan, false, &doomed).await.is_err());
    assert!(purge(&bench, sweep, plan, true, &doomed).await.is_err());
    let approved =
        bench.store().approve_plan(&bench.lease, plan, "ada", Duration::from_hours(24)).await.unwrap();
    assert_eq!(approved, Some(R));
    let open = bench.store().open_plan(bench.lease.feed(), R).await.unwrap().unwrap();
    assert_eq!(
        (open.id, open.candidates.len(), open.approved.map(|a| a.by)),
        (plan, 3, Some("ada".to_owned()))
    );
    assert_eq!(purge(&bench, sweep, plan, true, &doomed).await, Ok(3));
    assert_eq!(bench.store().purged_unapproved_since(bench.lease.feed(), R, began_at).await.unwrap(), 0);
    bench.store().finish_sweep(&bench.lease, bench.run, R, Job::Purge, sweep, true).await.unwrap();
    assert_eq!(bench.store().open_plan(bench.lease.feed(), R).await.unwrap(), None);
    assert_eq!(
        bench.store().approve_plan(&bench.lease, plan, "ada", Duration::from_hours(24)).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn an_approval_that_has_ended_is_none() {
    let (bench, sweep, began_at) = swept().await;
    let doomed = candidates(&bench, sweep, began_at).await;
    let plan = plan(&bench, sweep, &doomed, Some("share")).await;
    bench.store().approve_plan(&bench.lease, plan, "ada", Duration::ZERO).await.unwrap();
    assert!(purge(&bench, sweep, plan, true, &doomed).await.is_err());
    let open = bench.store().open_plan(bench.lease.feed(), R).await.unwrap().unwrap();
    assert_eq!(open.approved, None);
}

#[tokio::test]
async fn a_closed_sweep_can_purge_nothing_more() {
    let (bench, sweep, began_at) = swept().await;
    let doomed = candidates(&bench, sweep, began_at).await;
    let first = plan(&bench, sweep, &doomed, Some("share")).await;
    bench.store().finish_sweep(&bench.lease, bench.run, R, Job::Purge, sweep, true).await.unwrap();
    let still = bench.store().open_plan(bench.lease.feed(), R).await.unwrap().unwrap();
    assert_eq!(still.id, first, "a refused plan stays open");
    let second = plan(&bench, sweep, &doomed, None).await;
    assert!(purge(&bench, sweep, second, false, &doomed).await.unwrap_err().contains("not open any more"));
    assert_eq!(left(&bench).await, "a b c d e");
    assert_eq!(bench.database.ask::<i64>("select count(*) from replicator.key_sweep").await, 0);
    let states = bench.store().resources(bench.lease.feed()).await.unwrap();
    assert!(states.iter().find(|state| state.resource == R).unwrap().last_sweep_completed_at.is_some());
}

#[tokio::test]
async fn a_new_sweep_drops_the_keys_of_the_one_before_and_its_position_commits_with_its_pages() {
    let (bench, sweep, began_at) = swept().await;
    let kept = bench.store().checkpoint(bench.lease.feed(), R, Job::Purge).await.unwrap();
    assert_eq!(kept.unsynced_passes, 2);
    let resumed = bench.store().begin_sweep(&bench.lease, R, Job::Purge, began_at).await.unwrap();
    assert_eq!(resumed, sweep, "a walk that goes on goes on with its sweep");
    let began_at = bench.store().now().await.unwrap();
    let next = bench.store().begin_sweep(&bench.lease, R, Job::Purge, began_at).await.unwrap();
    assert!(next > sweep);
    let summary = bench.store().sweep_summary(bench.lease.feed(), R, next, began_at).await.unwrap();
    assert_eq!((summary.listed, summary.candidates), (0, 5));
    let late = bench
        .store()
        .stage_keys(&bench.lease, bench.run, R, Job::Purge, sweep, 3, &[key("a")], &Checkpoint::default())
        .await;
    assert!(late.is_err());
}

#[tokio::test]
async fn a_key_that_returns_right_after_its_purge_waits_for_a_reading_by_key() {
    let (bench, sweep, began_at) = swept().await;
    let doomed = candidates(&bench, sweep, began_at).await;
    let plan = plan(&bench, sweep, &doomed, None).await;
    purge(&bench, sweep, plan, false, &doomed).await.unwrap();
    // `c` comes from a stale cache, `d` has really been changed, `e` was confirmed by key.
    let confirmed = spark_store::Confirmed::from([(key("e"), None)]);
    let texts = [listing("c", 1, "1"), listing("d", 2, "1"), listing("e", 1, "1")];
    let outcome = bench
        .commit(R, &[&texts[0], &texts[1], &texts[2]], |page| page.confirmed = Box::leak(Box::new(confirmed)))
        .await;
    assert_eq!((outcome.inserted, outcome.held), (2, 1));
    assert_eq!(left(&bench).await, "a b d e");
    let order: String = bench.database.ask("select key || ' ' || reason from replicator.reread").await;
    assert_eq!(order, "c returned");
    // Two cache windows later it is a record like any other.
    bench
        .database
        .run("update replicator.tombstone set deleted_at = deleted_at - interval '41 minutes'")
        .await;
    assert_eq!(bench.listings(&[&listing("c", 1, "1")]).await.inserted, 1);
}

#[tokio::test]
async fn an_ended_open_house_is_marked_and_never_counts() {
    let bench = Bench::new().await;
    let house = |key: &str, end: &str| format!(r#"{{"OpenHouseKey":"{key}","OpenHouseEndTime":"{end}"}}"#);
    let texts = [
        house("past", "2020-01-01T00:00:00Z"),
        house("to come", "2099-01-01T00:00:00Z"),
        r#"{"OpenHouseKey":"?"}"#.to_owned(),
    ];
    bench.commit(Resource::OpenHouse, &[&texts[0], &texts[1], &texts[2]], |page| page.relations = &[]).await;
    let now = bench.store().now().await.unwrap();
    let sweep = bench.store().begin_sweep(&bench.lease, Resource::OpenHouse, Job::Purge, now).await.unwrap();
    let all = bench
        .store()
        .purge_candidates(bench.lease.feed(), Resource::OpenHouse, sweep, now, None, 9)
        .await
        .unwrap();
    let ended: Vec<(&str, bool)> = all.iter().map(|each| (each.key.as_str(), each.ended)).collect();
    assert_eq!(ended, [("?", false), ("past", true), ("to come", false)]);
    let plan = NewPurgePlan {
        resource: Resource::OpenHouse,
        sweep,
        began_at: now,
        rows_held: 3,
        listed: 0,
        keys: &all[1..2],
        refusal: None,
        explanation: "",
    };
    let id = bench.store().save_plan(&bench.lease, &plan).await.unwrap().unwrap();
    let purge = bench.store().execute_purge(
        &bench.lease,
        bench.run,
        Resource::OpenHouse,
        sweep,
        id,
        false,
        &all[1..2],
    );
    assert_eq!(purge.await.unwrap(), 1);
    let since =
        bench.store().purged_unapproved_since(bench.lease.feed(), Resource::OpenHouse, now).await.unwrap();
    assert_eq!(since, 0);
    let reason: String = bench.database.ask("select reason from replicator.tombstone").await;
    assert_eq!(reason, "ended");
}

#[tokio::test]
async fn lookups_sweep_and_download_in_one_walk() {
    let bench = Bench::new().await;
    let lookup = |key: &str| format!(r#"{{"LookupKey":"{key}","LookupName":"View","LookupValue":"{key}"}}"#);
    let texts = [lookup("l1"), lookup("l2"), lookup("l3")];
    bench.commit(Resource::Lookup, &[&texts[0], &texts[1]], |page| page.relations = &[]).await;
    let began_at = bench.store().now().await.unwrap();
    let sweep =
        bench.store().begin_sweep(&bench.lease, Resource::Lookup, Job::Lookups, began_at).await.unwrap();
    let staged = SweepPage { sweep, page: 1 };
    bench
        .commit(Resource::Lookup, &[&texts[1], &texts[2]], |page| {
            (page.relations, page.stage_keys) = (&[], Some(staged));
        })
        .await;
    let feed = bench.lease.feed();
    let gone =
        bench.store().purge_candidates(feed, Resource::Lookup, sweep, began_at, None, 9).await.unwrap();
    assert_eq!(keys_of(&gone), ["l1"]);
    let summary = bench.store().sweep_summary(feed, Resource::Lookup, sweep, began_at).await.unwrap();
    assert_eq!((summary.listed, summary.ours, summary.new_meanwhile, summary.missing), (2, 3, 0, 0));
}

#[tokio::test]
async fn a_plan_that_was_only_made_to_be_seen_stays_open_until_a_person_approves_it() {
    let (bench, sweep, began_at) = swept().await;
    let doomed = candidates(&bench, sweep, began_at).await;
    let seen = plan(&bench, sweep, &doomed, None).await;
    bench.store().finish_sweep(&bench.lease, bench.run, R, Job::Purge, sweep, true).await.unwrap();
    let open = bench.store().open_plan(bench.lease.feed(), R).await.unwrap().unwrap();
    assert_eq!((open.id, open.sweep, open.approved), (seen, sweep, None));
    let resource =
        bench.store().approve_plan(&bench.lease, seen, "ada", Duration::from_hours(24)).await.unwrap();
    assert_eq!(resource, Some(R));
    // The next complete sweep lacks only `e` still.
    let began_at = bench.store().now().await.unwrap();
    let next = bench.store().begin_sweep(&bench.lease, R, Job::Purge, began_at).await.unwrap();
    stage(&bench, next, 1, &["a", "b", "c", "d"]).await;
    assert_eq!(purge(&bench, next, seen, true, &open.candidates).await, Ok(1));
    bench.store().finish_sweep(&bench.lease, bench.run, R, Job::Purge, next, true).await.unwrap();
    assert_eq!(left(&bench).await, "a b c d");
    assert_eq!(bench.store().open_plan(bench.lease.feed(), R).await.unwrap(), None);
}
