//! A refused token: visible, harmless, and healed by a new one in its file.

use super::stage::Stage;

const OLD: &str = "simulator-token";
const NEW: &str = "the-token-issued-anew";

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_blocks_the_feed_until_its_file_holds_a_good_one() {
    let stage = Stage::new("token_refused", 30).await;
    let mut daemon = stage.daemon();
    stage.until_complete().await;
    stage.simulator.set_token(NEW);
    let blocked = |status: &serde_json::Value| !status["feeds"][0]["blocked"].is_null();
    let status = daemon.until("the feed is blocked", blocked);
    assert_eq!(status["feeds"][0]["standing"], "blocked");
    let page = daemon.get("/").body;
    assert!(page.contains("blocked"), "{page}");
    let metrics = daemon.get("/metrics").body;
    let shown = stage.run(&["status"]);
    assert!(shown.out.contains("blocked since"), "{shown:?}");
    let late = stage.run(&["status", "--max-lag", "1ms"]);
    assert_eq!(late.code, Some(4), "{late:?}");

    stage.write_token(NEW);
    daemon.until("the feed goes on", |status| !blocked(status));
    stage.change_arrives("Seen with the new token").await;
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    let everything =
        [daemon.process.said(), page, metrics, status.to_string(), shown.out, shown.err].concat();
    for token in [OLD, NEW] {
        assert!(!everything.contains(token), "{token} was shown: {everything}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_ends_a_block_also_if_a_hangup_or_a_new_process_read_it_first() {
    let stage = Stage::new("token_read_first", 10).await;
    let mut daemon = stage.daemon();
    stage.until_complete().await;
    let (blocked, goes_on) = (
        "select blocked_at is not null from replicator.feed",
        "select blocked_at is null from replicator.feed",
    );
    stage.simulator.set_token("the-second-token");
    stage.until("the feed is blocked", blocked).await;
    stage.write_token("the-second-token");
    daemon.process.signal("HUP");
    stage.until("the feed goes on after the hangup", goes_on).await;

    stage.simulator.set_token("the-third-token");
    stage.until("the feed is blocked again", blocked).await;
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    stage.write_token("the-third-token");
    let daemon = stage.daemon();
    stage.until("the feed goes on after the restart", goes_on).await;
    stage.change_arrives("Seen with the third token").await;
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_that_is_shown_is_that_of_the_token_in_use() {
    let stage = Stage::new("token_budget", 10).await;
    let daemon = stage.daemon();
    stage.until_complete().await;
    let slow = "with slow as (update replicator.request_budget set share = 0.5, share_at = clock_timestamp() \
                returning 1) select count(*) from slow";
    assert_eq!(stage.ask::<i64>(slow).await, 1);
    let share = |status: &serde_json::Value| status["feeds"][0]["requests"]["share"].as_f64();
    daemon.until("the old key's share is shown", |status| share(status).is_some_and(|share| share < 0.6));
    stage.write_token(NEW);
    stage.simulator.set_token(NEW);
    daemon.until("the new key's share is shown", |status| share(status) == Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_has_the_token_files_read_again_and_ends_nothing() {
    let stage = Stage::new("token_hangup", 30).await;
    let mut daemon = stage.daemon();
    stage.until_complete().await;
    daemon.process.signal("HUP");
    daemon.process.wait_for("the token was read again: it is the same");
    std::fs::remove_file(stage.token_file()).unwrap();
    daemon.process.signal("HUP");
    daemon.process.wait_for("the token cannot be read again; the one in memory is kept");
    stage.change_arrives("Seen without a token file").await;
}
