//! `run`: what it says to whom, and how it ends.

use std::path::Path;

use spark_simulator::postgres::ThrowAwayPostgres;
use sqlx::raw_sql;

use super::process::{Running, run};
use super::signals::Systemd;
use super::stage::{Daemon, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_answers_everybody_and_ends_at_the_first_signal() {
    let stage = Stage::new("daemon_answers", 60).await;
    let mut daemon = stage.daemon();
    stage.until_complete().await;
    assert_eq!(daemon.get("/healthz").status, 200);
    let ready = daemon.get("/readyz");
    assert_eq!(ready.status, 200, "{ready:?}");
    let status = daemon.until("all is fresh", |status| status["feeds"][0]["standing"] == "fresh");
    assert_eq!(status["feeds"][0]["resources"][0]["rows"], 60);
    assert_eq!(daemon.get("/freshness").status, 200);
    let page = daemon.get("/");
    assert!(page.head.contains("text/html") && page.body.contains("beaches"), "{page:?}");
    let alive = run(["healthcheck", "--address", &daemon.address]);
    assert_eq!(alive.code, Some(0), "{alive:?}");
    stage.change_arrives("Seen by the daemon").await;

    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    assert!(daemon.process.said().contains("\"stopped\""));
    let free = "select expires_at <= clock_timestamp() from replicator.lease";
    assert!(stage.ask::<bool>(free).await, "the lease was not given back");
    let running = "select count(*) from replicator.job_run where outcome = 'running'";
    assert_eq!(stage.ask::<i64>(running).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_it_stands_says_so_and_waits() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stage = Stage::at(format!("postgres://r:hush@{free}/mls"), 5).await;
    let systemd = Systemd::listen();
    let mut command = stage.program(&["run"]);
    systemd.adopt(&mut command);
    let mut daemon = Daemon::start(command);
    systemd.wait_for("READY=1");
    systemd.wait_for("WATCHDOG=1");
    assert_eq!(daemon.get("/healthz").status, 200);
    let ready = daemon.get("/readyz");
    assert_eq!(ready.status, 503, "{ready:?}");
    let line = daemon.process.wait_for("the database is waited for");
    assert!(!line.contains("hush") && !ready.body.contains("hush"), "{line}");
    daemon.process.signal("TERM");
    systemd.wait_for("STOPPING=1");
    assert_eq!(daemon.process.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_late_is_taken_as_it_comes() {
    let server = ThrowAwayPostgres::start().unwrap();
    let stage = Stage::at(server.url("postgres"), 20).await;
    server.stop();
    let mut daemon = stage.daemon();
    daemon.process.wait_for("the database is waited for");
    server.start_again().unwrap();
    stage.until_complete().await;
    stage.change_arrives("Seen after the wait").await;
    server.restart().unwrap();
    stage.change_arrives("Seen after an outage").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_database_is_for_trials_and_goes_with_the_daemon() {
    let stage = Stage::at("postgres://never".to_owned(), 20).await;
    let text = std::fs::read_to_string(stage.config()).unwrap();
    std::fs::write(stage.config(), text.replace("url = 'postgres://never'", "embedded = true")).unwrap();
    let mut process = Running::start(stage.program(&["run"]));
    let line: serde_json::Value = serde_json::from_str(&process.wait_for("a Postgres for trials")).unwrap();
    let folder = line["folder"].as_str().unwrap().to_owned();
    assert!(Path::new(&folder).exists());
    let mut daemon = Daemon::of(process);
    daemon.until("all is fresh", |status| status["feeds"][0]["standing"] == "fresh");
    daemon.process.signal("INT");
    assert_eq!(daemon.process.wait(), Some(0));
    assert!(!Path::new(&folder).exists(), "{folder} is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let stage = Stage::new("daemon_second_signal", 30).await;
    let mut daemon = stage.daemon();
    stage.until_complete().await;
    // Somebody holds the table: a page in hand cannot be committed, and a gentle stop waits for it.
    let mut other = stage.connection().await;
    raw_sql("begin; lock table mls.property in access exclusive mode").execute(&mut other).await.unwrap();
    let waits = "select exists (select from pg_locks where not granted)";
    let world = stage.simulator.world();
    let listings = spark_simulator::Resource::Property;
    world.edit(listings, &world.keys(listings)[0], "PublicRemarks", "Nobody can write this");
    stage.until("a write waits for the lock", waits).await;
    daemon.process.signal("TERM");
    daemon.process.wait_for("a second signal stops at once");
    assert_eq!(daemon.get("/healthz").status, 200, "it must answer until its end");
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(143));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_refuses_to_guess_a_database_and_a_port_that_is_taken() {
    let stage = Stage::at(String::new(), 5).await;
    let mut guess = stage.program(&["run"]);
    std::fs::write(stage.config(), "[feeds.beaches]\ntoken = 'x'\n").unwrap();
    let ended = super::process::Ended::of(&guess.output().unwrap());
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.err.contains("database.url"), "{ended:?}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "[database]\nurl = 'postgres://nobody@127.0.0.1:1/x'\n[server]\nlisten = '{}'\n[feeds.a]\ntoken = 'x'\n",
        taken.local_addr().unwrap()
    );
    std::fs::write(stage.config(), text).unwrap();
    let ended = stage.run(&["run"]);
    assert_eq!(ended.code, Some(75), "{ended:?}");
    assert!(ended.err.contains("cannot listen on"), "{ended:?}");
}
