//! Signing in to a feed whose tokens expire: by hand and by browser, beside a daemon, over restarts and kills.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use spark_simulator::oauth::{AUTHORIZE, CLIENT_ID, CLIENT_SECRET, GRANT};
use spark_simulator::{Fault, Trouble};

use super::process::{PATIENCE, file, run};
use super::stage::Stage;

pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A feed that has to be signed in to; the browser is sent back to this port.
pub(crate) async fn signed_out(name: &str, port: u16) -> Stage {
    let stage = Stage::new(name, 30).await;
    give_oauth(&stage, port);
    stage
}

pub(crate) fn give_oauth(stage: &Stage, port: u16) {
    let text = std::fs::read_to_string(stage.config()).unwrap();
    let own = format!("token_file = '{}'\n", stage.token_file().display());
    let folder = stage.config().parent().unwrap().to_owned();
    std::fs::write(folder.join("secret"), CLIENT_SECRET).unwrap();
    std::fs::write(folder.join("key"), KEY).unwrap();
    let table = format!(
        "[feeds.beaches.oauth]\nclient_id = '{CLIENT_ID}'\nclient_secret_file = '{}'\nkey_file = '{}'\n\
         redirect_uri = '{}'\nauthorize_url = '{}'\ngrant_url = '{}'\n",
        folder.join("secret").display(),
        folder.join("key").display(),
        back(port),
        stage.simulator.address_of(AUTHORIZE),
        stage.simulator.address_of(GRANT),
    );
    std::fs::write(stage.config(), text.replacen(&own, "", 1) + &table).unwrap();
}

pub(crate) fn back(port: u16) -> String {
    format!("http://127.0.0.1:{port}/back")
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `auth login`, until it has shown its address.
pub(crate) struct Login {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    pub(crate) address: String,
    pub(crate) said: String,
}

impl Login {
    pub(crate) fn start(stage: &Stage, more: &[&str]) -> Self {
        let mut command = stage.program(&["auth", "login", "beaches"]);
        command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut login = Self {
            out: BufReader::new(child.stdout.take().unwrap()),
            child,
            address: String::new(),
            said: String::new(),
        };
        while login.address.is_empty() {
            let mut line = String::new();
            assert!(login.out.read_line(&mut line).unwrap() > 0, "it shows no address: {}", login.said);
            login.said.push_str(&line);
            if line.trim().starts_with("http") {
                line.trim().clone_into(&mut login.address);
            }
        }
        login
    }

    /// What the browser does: it agrees, and is sent here.
    pub(crate) fn agree(&self) -> String {
        let answer = browse(&self.address);
        answer.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().to_owned()
    }

    pub(crate) fn paste(&mut self, text: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{text}").unwrap();
    }

    /// Its exit code, with all that it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        drop(self.child.stdin.take());
        self.out.read_to_string(&mut self.said).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap().code(), self.said)
    }
}

/// The answer of an address on this machine to a browser that follows nothing by itself.
fn browse(address: &str) -> String {
    let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status_of(address: &str) -> String {
    browse(address).split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_pastes_an_address_the_daemon_beside_begins_and_the_next_one_needs_nobody() {
    let stage = signed_out("oauth_pasted", 1).await;
    let mut daemon = stage.daemon();
    let status = daemon.until("the feed is blocked", |status| !status["feeds"][0]["blocked"].is_null());
    assert!(status.to_string().contains("auth login beaches"), "{status:#}");
    let mut login = Login::start(&stage, &[]);
    login.paste(&login.agree());
    let (code, said) = login.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("feed beaches is signed in; its access token lasts until "), "{said}");
    stage.until_complete().await;
    let metrics =
        daemon.metrics_with("spark_replicator_oauth_token_expiry_timestamp_seconds{feed=\"beaches\"}");
    let value = |name: &str| {
        let line = metrics.body.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    let life = value("spark_replicator_oauth_token_expiry") - value("spark_replicator_oauth_token_obtained");
    assert!((86_399.0..86_401.0).contains(&life), "{life}");
    daemon.process.signal("KILL");
    daemon.process.wait();
    let _next = stage.daemon();
    stage.change_arrives("Seen with the stored pair").await;
    assert_eq!(stage.simulator.oauth().grants().len(), 1, "the stored pair was not used");
    let check = stage.run(&["config", "check"]);
    assert!(check.code == Some(0) && check.out.contains("a first download: about "), "{check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_is_refused_is_seen_while_the_access_token_still_works() {
    let stage = signed_out("oauth_refused_early", 1).await;
    let mut daemon = stage.daemon();
    daemon.until("the feed is blocked", |status| !status["feeds"][0]["blocked"].is_null());
    let mut login = Login::start(&stage, &[]);
    login.paste(&login.agree());
    assert_eq!(login.end().0, Some(0));
    stage.until_complete().await;
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    assert!(!stage.run(&["status"]).out.contains("note:"), "a fresh token is no news");

    // Fourteen of its twenty-four hours pass.
    let age = "with aged as (update replicator.oauth_token set obtained_at = obtained_at - interval '14 hours', \
               expires_at = expires_at - interval '14 hours' returning 1) select count(*) from aged";
    assert_eq!(stage.ask::<i64>(age).await, 1);
    stage.simulator.oauth().revoke_refresh_tokens();
    let mut daemon = stage.daemon();
    daemon.process.wait_for("the access token cannot be refreshed any more");
    let noted = |status: &serde_json::Value| status["feeds"][0]["notes"][0].is_string();
    let status = daemon.until("the status says so", noted);
    let note = status["feeds"][0]["notes"][0].as_str().unwrap();
    for part in
        ["cannot be refreshed and lasts until 20", "invalid_grant", "`spark-replicator auth login beaches`"]
    {
        assert!(note.contains(part), "{part:?} is not in {note}");
    }
    assert!(status["feeds"][0]["blocked"].is_null(), "the access token still works: {status:#}");
    let (page, shown) = (daemon.get("/").body, stage.run(&["status"]).out);
    assert!(page.contains("cannot be refreshed and lasts until"), "{page}");
    assert!(shown.contains("note: the access token cannot be refreshed and lasts until"), "{shown}");
    stage.change_arrives("Seen with the old access token").await;

    // Whoever starts now says it too.
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    let mut next = stage.daemon();
    let said = next.process.wait_for("the access token could not be refreshed in time");
    assert!(said.contains("invalid_grant") && said.contains("lasts_until"), "{said}");
    let mut login = Login::start(&stage, &[]);
    login.paste(&login.agree());
    assert_eq!(login.end().0, Some(0));
    next.until("the note is gone", |status| !noted(status));
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_migration_a_check_says_to_migrate_and_sign_in() {
    let stage = signed_out("oauth_unmigrated", 1).await;
    let check = stage.run(&["config", "check"]);
    assert_eq!(check.code, Some(77), "{check:?}");
    let remedy = "run `spark-replicator migrate`, then `spark-replicator auth login beaches`";
    assert!(check.out.contains(remedy) && !check.out.contains("does not answer"), "{check:?}");

    assert_eq!(stage.run(&["migrate"]).code, Some(0));
    let check = stage.run(&["config", "check"]);
    assert_eq!(check.code, Some(77), "{check:?}");
    assert!(check.out.contains("nobody has signed in to feed beaches"), "{check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_comes_back_to_this_machine_is_caught_and_no_other() {
    let port = free_port();
    let stage = signed_out("oauth_caught", port).await;
    let login = Login::start(&stage, &["--listen"]);
    let back = back(port);
    for stranger in ["?code=c&state=guessed", "?code=c", "/elsewhere?code=c", "?error=access_denied"] {
        assert_eq!(status_of(&format!("{back}{stranger}")), "404", "{stranger}");
    }
    assert_eq!(status_of(&login.agree()), "200");
    let (code, said) = login.end();
    assert!(code == Some(0) && said.contains("is signed in"), "{said}");

    let refused = Login::start(&stage, &["--listen"]);
    let (_, sent_along) = refused.address.rsplit_once("state=").unwrap();
    assert_eq!(status_of(&format!("{back}?error=access_denied&state={sent_along}")), "403");
    let (code, said) = refused.end();
    assert!(code == Some(77) && said.contains("the sign-in was refused: access_denied"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_may_be_given_a_void_one_is_77_and_an_endpoint_that_is_away_69() {
    let stage = signed_out("oauth_given", 1).await;
    let code = stage.simulator.oauth().code(&back(1));
    let given = stage.run(&["auth", "login", "beaches", "--code", &code]);
    assert_eq!(given.code, Some(0), "{given:?}");
    let again = stage.run(&["auth", "login", "beaches", "--code", &code]);
    assert!(again.code == Some(77) && again.err.contains("invalid_grant"), "{again:?}");
    assert!(!format!("{again:?}").contains(&code), "{again:?}");
    let gateway = Trouble::Answer { status: 502, content_type: "text/html", body: "<html>".to_owned() };
    for trouble in [gateway, Trouble::throttle(Some("60"))] {
        stage.simulator.faults().push(Fault::new(trouble).matching(GRANT));
        let away = stage.run(&["auth", "login", "beaches", "--code", "c"]);
        assert!(away.code == Some(69) && away.err.contains("the code brought no tokens"), "{away:?}");
    }
    let settings = std::fs::read_to_string(stage.config()).unwrap();
    let nowhere = format!("http://127.0.0.1:{}/grant", free_port());
    std::fs::write(stage.config(), settings.replace(&stage.simulator.address_of(GRANT), &nowhere)).unwrap();
    let away = stage.run(&["auth", "login", "beaches", "--code", "c"]);
    assert!(away.code == Some(69) && away.err.contains("cannot be reached"), "{away:?}");
    std::fs::write(stage.config(), settings).unwrap();
    let silent = stage.run(&["auth", "login", "beaches"]);
    assert!(silent.code == Some(1) && silent.err.contains("there is no code"), "{silent:?}");
    stage.run(&["once", "lookups"]);
    assert!(stage.ask::<bool>("select count(*) > 0 from mls.lookup").await);
    let other = Stage::new("oauth_not_needed", 0).await;
    let needless = other.run(&["auth", "login", "beaches", "--code", "c"]);
    assert!(needless.code == Some(78) && needless.err.contains("nothing to sign in to"), "{needless:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_between_the_rotation_and_its_row_has_lost_the_pair_and_the_next_one_says_so() {
    let stage = signed_out("oauth_killed", 1).await;
    let code = stage.simulator.oauth().code(&back(1));
    assert_eq!(stage.run(&["auth", "login", "beaches", "--code", &code]).code, Some(0));
    let aged = "update replicator.oauth_token set obtained_at = obtained_at - interval '14 hours', \
                expires_at = expires_at - interval '14 hours' returning true";
    assert!(stage.ask::<bool>(aged).await);
    let asked = stage.simulator.journal().requests().last().unwrap().number;
    // The pair is rotated at once, and its answer never comes to its end.
    let drip = Trouble::Drip { bytes: 1, every: Duration::from_secs(5) };
    stage.simulator.faults().push(Fault::new(drip).matching(GRANT).forever());
    let mut daemon = stage.daemon();
    let rotated =
        stage.simulator.journal().wait_for(|entry| entry.path == GRANT && entry.status.is_some(), PATIENCE);
    assert!(rotated.await.is_some(), "no refresh");
    let grants = || stage.simulator.oauth().grants().len();
    stage.until("the refresh is claimed", "select sent = 1 from replicator.oauth_token").await;
    let again = |entry: &spark_simulator::Entry| entry.path == GRANT && entry.number > asked;
    assert!(
        stage
            .simulator
            .journal()
            .wait_for(|entry| again(entry) && entry.status.is_some(), PATIENCE)
            .await
            .is_some()
    );
    assert_eq!(grants(), 2, "no refresh");
    daemon.process.signal("KILL");
    daemon.process.wait();
    stage.simulator.faults().clear();
    stage.simulator.oauth().expire_access_tokens();
    // Its claim runs out.
    assert!(
        stage
            .ask::<bool>("update replicator.oauth_token set free_at = clock_timestamp() returning true")
            .await
    );
    let next = stage.daemon();
    let status = next.until("the feed is blocked", |status| !status["feeds"][0]["blocked"].is_null());
    let reason = status.to_string();
    assert!(
        reason.contains("probably rotated and lost") && reason.contains("auth login beaches"),
        "{reason}"
    );
    assert_eq!(grants(), 3, "the refresh token was spent once more, and no more often");
    let code = stage.simulator.oauth().code(&back(1));
    assert_eq!(stage.run(&["auth", "login", "beaches", "--code", &code]).code, Some(0));
    next.until("the feed goes on", |status| status["feeds"][0]["blocked"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_holds_another_key_is_told_from_one_that_holds_none() {
    let stage = signed_out("oauth_keys", 1).await;
    let code = stage.simulator.oauth().code(&back(1));
    assert_eq!(stage.run(&["auth", "login", "beaches", "--code", &code]).code, Some(0));
    let key = stage.config().parent().unwrap().join("key");
    std::fs::write(&key, KEY.replace("AAEC", "BBEC")).unwrap();
    let other = stage.run(&["once", "lookups"]);
    assert_eq!(other.code, Some(77), "{other:?}");
    assert!(other.err.contains("another key than that of key_file"), "{other:?}");
    std::fs::write(&key, "no key").unwrap();
    for command in [&["once", "lookups"][..], &["run"], &["config", "check"]] {
        let none = stage.run(command);
        assert_eq!(none.code, Some(78), "{none:?}");
        assert!(none.err.contains("openssl rand -base64 32"), "{none:?}");
    }
    std::fs::write(&key, KEY).unwrap();
    assert_eq!(stage.run(&["once", "lookups"]).code, Some(0));
}

#[test]
fn a_feed_has_a_token_or_is_signed_in_to_and_a_check_says_what_is_missing() {
    let database = "[database]\nurl = 'postgres://db/mls'\n";
    for (feed, parts) in [
        ("[feeds.a]\n", &["feeds.a.token: it is missing", "[feeds.a.oauth]"][..]),
        (
            "[feeds.a]\ntoken = 't'\n[feeds.a.oauth]\n",
            &["client_id: it is missing", "key_file: it is missing"],
        ),
        (
            "[feeds.a]\ntoken = 't'\n[feeds.a.oauth]\nclient_id = 'c'\nclient_secret = 's'\nkey_file = '/k'\n\
             redirect_uri = 'http://127.0.0.1:1/back'\n",
            &["feeds.a.token", "[feeds.a.oauth] is there as well; keep one of the two"],
        ),
        (
            "[feeds.a.oauth]\nclient_id = 'c'\nclient_secret = 's'\nkey_file = '/k'\nredirect_uri = 'here'\n\
             grant_url = 'http://mls.example/'\n",
            &["redirect_uri = \"here\"", "grant_url", "write https://"],
        ),
    ] {
        let (_folder, path) = file(&format!("{database}{feed}"));
        let ended = run(["config", "check", "--offline", "--config", path.to_str().unwrap()]);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        for part in parts {
            assert!(ended.err.contains(part), "{part:?} is not in {}", ended.err);
        }
    }
}
