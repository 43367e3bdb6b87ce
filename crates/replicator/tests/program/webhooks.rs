//! Events that a feed delivers: what they hasten, and what they cannot do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use spark_simulator::postgres::ThrowAwayPostgres;
use spark_simulator::webhooks::{Attempt, Encoding, Habits, Webhooks, post, sign};
use spark_simulator::{Fault, Resource, Trouble};

use super::process::{PATIENCE, Running};
use super::stage::{Daemon, Stage};

pub(crate) const SECRET: &str = "what the deliveries are signed with";

/// From a change to its row.
const SOON: Duration = Duration::from_secs(5);

const EVERYTHING_READ: &str = "select count(*) = 0 from replicator.event";

/// A stage whose feed delivers, and asks for updates once an hour.
pub(crate) async fn delivering(name: &str, listings: usize) -> Stage {
    with_webhook(Stage::new(name, listings).await, "1h", "1s")
}

/// Gives the feed of a stage a webhook, and other intervals.
pub(crate) fn with_webhook(stage: Stage, update_every: &str, cache_window: &str) -> Stage {
    let text = std::fs::read_to_string(stage.config()).unwrap();
    let text = text.replace("update_every = '300ms'", &format!("update_every = '{update_every}'"));
    let text = text.replace("cache_window = '1s'", &format!("cache_window = '{cache_window}'"));
    let webhook =
        format!("[webhooks]\nlisten = '127.0.0.1:0'\n[feeds.beaches.webhook]\nsecret = '{SECRET}'\n");
    std::fs::write(stage.config(), text + &webhook).unwrap();
    stage
}

/// Starts an instance; where deliveries are taken.
pub(crate) fn start(stage: &Stage) -> (Daemon, SocketAddr) {
    let mut process = Running::start(stage.program(&["run"]));
    let line: Value = serde_json::from_str(&process.wait_for("deliveries of events are taken")).unwrap();
    let address = line["address"].as_str().unwrap().parse().unwrap();
    (Daemon::of(process), address)
}

/// Waits until no update is due for an hour.
async fn until_at_rest(stage: &Stage) {
    stage.until_complete().await;
    let updated =
        "select count(*) = 5 from replicator.checkpoint where job = 'update' and last_success_at is not null";
    stage.until("the first updates are over", updated).await;
}

fn signing() -> Habits {
    Habits { secret: Some(SECRET.to_owned()), backoff: Duration::from_millis(500), ..Habits::default() }
}

fn tell(stage: &Stage, address: SocketAddr, habits: Habits) -> Webhooks {
    Webhooks::start(stage.simulator.world(), address, "/webhooks/beaches", habits)
}

/// A delivery of one event, signed.
async fn deliver(address: SocketAddr, resource: &str, key: &str, sequence: u32) -> u16 {
    let body = format!(
        r#"{{"EntityEventSequence":{sequence},"ResourceName":"{resource}","ResourceRecordKey":"{key}"}}"#
    );
    let signature = ("Signature".to_owned(), sign(SECRET, body.as_bytes(), Encoding::Hex));
    post(address, "/webhooks/beaches", &[signature], body.as_bytes()).await.unwrap()
}

/// Changes a listing and answers the question whether its row has it.
fn change(stage: &Stage, at: usize, remarks: &str) -> (String, String) {
    let key = stage.simulator.world().keys(Resource::Property)[at].clone();
    assert!(stage.simulator.world().edit(Resource::Property, &key, "PublicRemarks", remarks));
    let arrived = format!(
        "select body->>'PublicRemarks' = '{remarks}' from mls.property where feed = 'beaches' and key = '{key}'"
    );
    (key, arrived)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_its_row_within_seconds_however_it_is_told() {
    let stage = delivering("webhooks_soon", 40).await;
    let (daemon, address) = start(&stage);
    until_at_rest(&stage).await;
    let world = stage.simulator.world();
    let webhooks = tell(&stage, address, signing());
    let several = Habits { batch: 50, delay: Duration::from_millis(200), ..signing() };
    let habits = [
        signing(),
        Habits { encoding: Encoding::UpperHex, numeric: true, ..signing() },
        Habits { encoding: Encoding::PrefixedBase64, copies: 3, ..signing() },
        Habits { encoding: Encoding::PrefixedHex, backwards: true, ..several.clone() },
        Habits { encoding: Encoding::Base64, backwards: true, copies: 2, numeric: true, ..several },
    ];
    let mut took = Vec::new();
    for (turn, habits) in habits.into_iter().enumerate() {
        webhooks.change(|known| *known = habits);
        let (changed, remarks) = (Instant::now(), format!("Told in way {turn}"));
        let (_, first) = change(&stage, 2 * turn, &remarks);
        let (_, second) = change(&stage, 2 * turn + 1, &remarks);
        let office = world.keys(Resource::Office)[0].clone();
        assert!(world.edit(Resource::Office, &office, "OfficePhone", format!("701-555-{turn:04}")));
        let new = world.insert_listing();
        let phone =
            format!("select office_phone = '701-555-{turn:04}' from mls.office where key = '{office}'");
        let listed = format!("select exists (select from mls.property where key = '{new}')");
        for arrived in [first, second, phone, listed] {
            stage.until("a change that was told arrives", &arrived).await;
        }
        took.push(changed.elapsed());
    }
    // A busy machine may hold up some of them: the quickest tell what the program needs.
    assert!(took.iter().min().is_some_and(|shortest| *shortest < SOON), "it took {took:?}");
    let mut answers: Vec<Duration> = webhooks.attempts().iter().map(|attempt| attempt.took).collect();
    let refused = |attempt: &Attempt| attempt.status.is_some_and(|status| (400..500).contains(&status));
    assert!(!webhooks.attempts().iter().any(refused), "{:?}", webhooks.attempts());
    answers.sort();
    let quick = answers[answers.len() / 4];
    assert!(quick < Duration::from_millis(100), "an answer took {quick:?}: {answers:?}");
    stage.until("everything is read twice", EVERYTHING_READ).await;
    let metrics = daemon.metrics_with("webhook_events_total{feed=\"beaches\",result=\"merged\"}").body;
    let merged = metrics.lines().find(|line| line.contains("result=\"merged\"")).unwrap();
    assert!(!merged.ends_with(" 0"), "copies were no repetitions: {merged}");
    assert!(metrics.contains("event_delay_seconds_count{feed=\"beaches\",resource=\"Office\"}"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_told_arrives_with_the_next_update() {
    let stage = with_webhook(Stage::new("webhooks_dropped", 30).await, "300ms", "1s");
    let (_daemon, address) = start(&stage);
    stage.until_complete().await;
    let webhooks = tell(&stage, address, Habits { dropped: true, ..signing() });
    stage.change_arrives("Nobody told").await;
    assert_eq!(webhooks.attempts(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stale_cache_showed_at_the_event_is_read_once_more_behind_the_cache_window() {
    let stage = with_webhook(Stage::new("webhooks_stale", 30).await, "1h", "5s");
    let (_daemon, address) = start(&stage);
    until_at_rest(&stage).await;
    let world = stage.simulator.world();
    let key = world.keys(Resource::Property)[0].clone();
    world.freeze(Resource::Property, &key, stage.simulator.clock().now() + chrono::TimeDelta::seconds(4));
    let (_, arrived) = change(&stage, 0, "Hidden by a cache");
    assert_eq!(deliver(address, "Property", &key, 1).await, 200);
    let once = "select exists (select from replicator.event where readings = 1)";
    stage.until("the event's key is read once", once).await;
    assert!(!stage.ask::<Option<bool>>(&arrived).await.unwrap_or(false), "the cache hid nothing");
    stage.until("the second reading shows it", &arrived).await;
    stage.until("the event is done with", EVERYTHING_READ).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_removed_listing_deletes_nothing_and_the_next_sweep_does() {
    let stage = delivering("webhooks_removed", 30).await;
    let (_daemon, address) = start(&stage);
    until_at_rest(&stage).await;
    let webhooks = tell(&stage, address, signing());
    let key = stage.simulator.world().keys(Resource::Property)[0].clone();
    stage.simulator.journal().clear();
    assert!(stage.simulator.world().remove(Resource::Property, &key));
    stage.until("it is told", "select exists (select from replicator.event)").await;
    stage.until("its key is read twice", EVERYTHING_READ).await;
    assert_eq!(webhooks.attempts().len(), 1);
    let asked = stage.simulator.journal().of("Property");
    assert_eq!(
        asked.iter().filter(|entry| entry.url().contains(&key)).count(),
        2,
        "silence is an answer, twice"
    );
    let gone = format!("select not exists (select from mls.property where key = '{key}')");
    assert!(!stage.ask::<bool>(&gone).await, "an event deleted its row");
    let swept = stage.run(&["once", "purge", "--resource", "Property"]);
    assert!(swept.code == Some(0), "{swept:?}");
    stage.until("the sweep finds it gone", &gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_to_the_stand_by_is_read_by_the_leader() {
    let stage = delivering("webhooks_stand_by", 30).await;
    let (_leader, _) = start(&stage);
    until_at_rest(&stage).await;
    let (mut second, address) = start(&stage);
    second.process.wait_for("standing by");
    let webhooks = tell(&stage, address, signing());
    let changed = Instant::now();
    let (_, arrived) = change(&stage, 0, "Told to the other");
    stage.until("it arrives", &arrived).await;
    assert!(changed.elapsed() < SOON, "it took {:?}", changed.elapsed());
    assert_eq!(webhooks.attempts().len(), 1);
    assert_eq!(
        stage.ask::<i64>("select epoch from replicator.lease").await,
        1,
        "the stand-by has taken over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_by_200_survives_a_kill() {
    let stage = delivering("webhooks_killed", 30).await;
    let (mut daemon, address) = start(&stage);
    until_at_rest(&stage).await;
    // Nothing is read until the process is dead.
    stage.simulator.faults().push(Fault::new(Trouble::error(503, 1510)).on("Property").forever());
    let (key, arrived) = change(&stage, 0, "Told before the end");
    assert_eq!(deliver(address, "Property", &key, 1).await, 200);
    daemon.process.signal("KILL");
    daemon.process.wait();
    stage.simulator.faults().clear();
    assert!(!stage.ask::<Option<bool>>(&arrived).await.unwrap_or(false), "it was read before");
    let (_daemon, _) = start(&stage);
    stage.until("the next process reads it", &arrived).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_a_sender_is_asked_to_come_again_and_then_taken() {
    let server = ThrowAwayPostgres::start().unwrap();
    let stage = with_webhook(Stage::at(server.url("postgres"), 30).await, "1h", "1s");
    let (mut daemon, address) = start(&stage);
    until_at_rest(&stage).await;
    server.stop();
    assert_eq!(deliver(address, "Property", "whichever", 1).await, 503);
    daemon.process.wait_for("unavailable");
    let webhooks = tell(&stage, address, Habits { backoff: Duration::from_secs(4), ..signing() });
    let (_, arrived) = change(&stage, 0, "Told in vain at first");
    let end = Instant::now() + PATIENCE;
    while webhooks.attempts().is_empty() {
        assert!(Instant::now() < end, "no attempt was made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.start_again().unwrap();
    stage.until("the next attempt is taken", &arrived).await;
    let statuses: Vec<_> = webhooks.attempts().iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses[0], Some(503), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&Some(200)), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_what_is_not_replicated_are_taken_and_do_nothing() {
    let stage = delivering("webhooks_foreign", 30).await;
    let (daemon, address) = start(&stage);
    until_at_rest(&stage).await;
    stage.simulator.journal().clear();
    for (sequence, resource) in (1..).zip(["Lookup", "Queue"]) {
        assert_eq!(deliver(address, resource, "a", sequence).await, 200);
    }
    assert!(stage.ask::<bool>(EVERYTHING_READ).await);
    daemon.metrics_with("webhook_events_total{feed=\"beaches\",result=\"ignored\"} 2");
    // What was off, or never downloaded whole, gets it by other ways.
    let off =
        "update replicator.resource set off_at = now(), off_reason = 'a test' where resource = 'Office'";
    sqlx::query(off).execute(&mut stage.connection().await).await.unwrap();
    assert_eq!(deliver(address, "Office", "a", 3).await, 200);
    stage.until("it is ignored", EVERYTHING_READ).await;
    assert!(stage.simulator.journal().of("Office").is_empty());
}
