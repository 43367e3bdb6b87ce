//! Two instances of one feed: one works, one stands by.

use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_by_takes_over_from_a_killed_leader() {
    let stage = Stage::new("instances_killed", 40).await;
    let mut leader = stage.daemon();
    stage.until_complete().await;
    let mut second = stage.daemon();
    second.process.wait_for("standing by");
    assert_eq!(second.get("/readyz").status, 200, "a stand-by is ready");
    leader.process.signal("KILL");
    leader.process.wait();
    second.process.wait_for("the lease is ours");
    stage.change_arrives("Seen by the second").await;
    assert_eq!(stage.ask::<i64>("select epoch from replicator.lease").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_frozen_writes_nothing_after_another_took_over() {
    let stage = Stage::new("instances_frozen", 40).await;
    let mut frozen = stage.daemon();
    stage.until_complete().await;
    let mut second = stage.daemon();
    second.process.wait_for("standing by");
    frozen.process.signal("STOP");
    second.process.wait_for("the lease is ours");
    frozen.process.signal("CONT");
    frozen.process.wait_for("standing by");
    stage.change_arrives("Seen by the second").await;
    let late = "select count(*) from replicator.job_run, replicator.lease where job_run.epoch = 1 \
                and greatest(began_at, progress_at) > taken_at";
    assert_eq!(stage.ask::<i64>(late).await, 0, "the frozen leader wrote");
    // It is as good a stand-by as any.
    second.process.signal("KILL");
    second.process.wait();
    frozen.process.wait_for("the lease is ours");
    stage.change_arrives("Seen by the first again").await;
}
