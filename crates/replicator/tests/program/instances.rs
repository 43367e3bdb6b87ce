//! Two instances of one feed: one works, one stands by.

use super::stage::{Daemon, Stage};

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
async fn a_leader_that_is_asked_to_end_hands_over_within_a_second() {
    let stage = Stage::new("instances_hand_over", 40).await;
    // The lease as it is shipped.
    let settings = std::fs::read_to_string(stage.config()).unwrap();
    let shipped: String = settings
        .lines()
        .filter(|line| !line.starts_with("lease_"))
        .fold(String::new(), |text, line| text + line + "\n");
    std::fs::write(stage.config(), shipped).unwrap();
    let mut leader = stage.daemon();
    stage.until_complete().await;
    // A busy machine may hold up one of them: the shortest of three tells what the program needs.
    let mut shortest = f64::MAX;
    for epoch in 2..=4 {
        let mut second = stage.daemon();
        second.process.wait_for("standing by");
        let asked: f64 = stage.ask("select extract(epoch from clock_timestamp())::float8").await;
        leader.process.signal("TERM");
        assert_eq!(leader.process.wait(), Some(0));
        second.process.wait_for("the lease is ours");
        let taken = "select extract(epoch from taken_at)::float8 from replicator.lease";
        shortest = shortest.min(stage.ask::<f64>(taken).await - asked);
        assert_eq!(stage.ask::<i64>("select epoch from replicator.lease").await, epoch);
        leader = second;
    }
    assert!(shortest < 1.0, "the quickest hand-over took {shortest:.3} s");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_that_uses_the_key_for_another_feed_is_noticed_by_both() {
    let stage = Stage::new("instances_one_key", 10).await;
    let mut first = stage.daemon();
    stage.until_complete().await;
    let settings = std::fs::read_to_string(stage.config()).unwrap();
    let other = stage.config().with_file_name("other.toml");
    std::fs::write(&other, settings.replace("[feeds.beaches", "[feeds.plains")).unwrap();
    let mut command = super::process::program(["run"]);
    command.arg("--config").arg(other);
    let mut second = Daemon::start(command);
    for daemon in [&mut second, &mut first] {
        daemon.process.wait_for("a feed of another process uses the same key");
    }
    let shown = stage.run(&["status"]);
    for feed in ["beaches", "plains"] {
        let said = format!("requests: feed {feed} of another process, ");
        assert!(shown.out.contains(&said), "{said:?} is not in {shown:?}");
    }
    let page = first.get("/").body;
    assert!(page.contains("uses the same key and shares its requests"), "{page}");
}
