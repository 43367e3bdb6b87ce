//! Commands of operators, beside a daemon and without one.

use serde_json::Value;

use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_feed_rests_until_it_is_resumed() {
    let stage = Stage::new("operators_pause", 30).await;
    let daemon = stage.daemon();
    stage.until_complete().await;
    let paused = stage.run(&["pause", "beaches"]);
    assert_eq!(paused.code, Some(0), "{paused:?}");
    assert!(paused.out.contains("beaches: paused"), "{paused:?}");
    daemon.until("the feed is paused", |status| status["feeds"][0]["standing"] == "paused");
    stage
        .until(
            "what ran is finished",
            "select count(*) = 0 from replicator.job_run where outcome = 'running'",
        )
        .await;
    let runs = stage.ask::<i64>("select max(run) from replicator.job_run").await;
    // A daemon that would go on would begin a run with every look of the stage.
    stage
        .until(
            "a second is over",
            "select max(paused_at) < clock_timestamp() - interval '1 s' from replicator.feed",
        )
        .await;
    assert_eq!(stage.ask::<i64>("select max(run) from replicator.job_run").await, runs, "it did not rest");
    let resumed = stage.run(&["resume", "beaches"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    stage.change_arrives("Seen after the rest").await;
    let asked = stage.run(&["once", "lookups"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert!(asked.out.contains("the daemon answers: lookups is due now for Lookup"), "{asked:?}");
    let resync = stage.run(&["resync", "beaches", "--resource", "Office"]);
    assert_eq!(resync.code, Some(0), "{resync:?}");
    let ran = "select exists (select from replicator.job_run where job = 'resync' and outcome = 'success')";
    stage.until("the resync ran", ran).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_commands_act_here() {
    let stage = Stage::new("operators_alone", 30).await;
    assert_eq!(stage.run(&["migrate"]).code, Some(0));
    let early = stage.run(&["pause", "beaches"]);
    assert_eq!(early.code, Some(1), "{early:?}");
    let unknown = stage.run(&["pause", "nobody"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("configured: beaches"), "{unknown:?}");
    assert_eq!(stage.run(&["once", "initial_download"]).code, Some(0));
    assert_eq!(stage.run(&["pause", "beaches"]).code, Some(0));
    assert!(stage.ask::<bool>("select paused_at is not null from replicator.feed").await);
    // Left by a daemon that died before it came to it.
    stage
        .ask::<i64>(
            "insert into replicator.operator_request (feed, kind, requested_by) values ('beaches', 'pause', 'ann') \
             returning request",
        )
        .await;
    assert_eq!(stage.run(&["resume", "beaches"]).code, Some(0));
    assert!(stage.ask::<bool>("select paused_at is null from replicator.feed").await);
    let open = "select count(*) from replicator.operator_request where finished_at is null";
    assert_eq!(stage.ask::<i64>(open).await, 0, "the older pause waits to be carried out after the resume");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_purge_waits_is_shown_and_goes_after_an_approval() {
    let stage = Stage::new("operators_purge", 60).await;
    assert_eq!(stage.run(&["once", "initial_download"]).code, Some(0));
    let listings = spark_simulator::Resource::Property;
    let world = stage.simulator.world();
    for key in &world.keys(listings)[..40] {
        world.remove(listings, key);
    }
    let old = "select max(written_at) < clock_timestamp() - interval '1.5 s' from mls.property";
    stage.until("the rows are older than the cache window", old).await;
    let nothing = stage.run(&["purge", "plan"]);
    assert_eq!(
        (nothing.code, nothing.out.as_str()),
        (Some(0), "no purge waits for approval\n"),
        "{nothing:?}"
    );
    let refused = stage.run(&["once", "purge", "--resource", "Property"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");

    let shown = stage.run(&["purge", "plan"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in ["40 of 60 rows would go", "and 20 more; --all shows them", "purge approve"] {
        assert!(shown.out.contains(part), "{part:?} is not in {shown:?}");
    }
    let fresh = stage.run(&["purge", "plan", "--fresh", "--resource", "Property", "--json"]);
    assert_eq!(fresh.code, Some(0), "{fresh:?}");
    let plans: Value = serde_json::from_str(&fresh.out).unwrap();
    assert_eq!(plans[0]["keys"].as_array().unwrap().len(), 40, "{plans:#}");
    let plan = plans[0]["plan"].to_string();
    let gone = stage.run(&["purge", "approve", "999999", "--feed", "beaches"]);
    assert_eq!(gone.code, Some(1), "{gone:?}");

    let daemon = stage.daemon();
    daemon.until("the guard is shown", |status| status["plans"][0]["candidates"] == 40);
    assert!(daemon.get("/").body.contains("approve"), "the page does not tell of the plan");
    let approved = stage.run(&["purge", "approve", &plan]);
    assert_eq!(approved.code, Some(0), "{approved:?}");
    stage.until("the approved rows are gone", "select count(*) = 20 from mls.property").await;
    let by = "select bool_and(approved_by like '%@%') and count(*) = 40 from replicator.tombstone \
              where resource = 'Property'";
    assert!(stage.ask::<bool>(by).await, "tombstones do not name who approved");
}
