//! No code, token, secret or key of a sign-in in any byte that leaves the process but for its own request, however
//! careless the token endpoint and the feed are.

use serde_json::json;
use spark_simulator::oauth::{CLIENT_SECRET, GRANT};
use spark_simulator::{Fault, Trouble};

use super::leaks::{Secret, assert_unseen, base64, percent};
use super::oauth::{KEY, Login, back, signed_out};
use super::process::{Ended, Running};
use super::stage::{Daemon, Stage};

const AGED: &str = "update replicator.oauth_token set obtained_at = obtained_at - interval '14 hours', \
                    expires_at = expires_at - interval '14 hours', free_at = null returning true";

/// What is said of a secret by somebody who repeats what he was sent.
fn repeated(secret: &str) -> String {
    let quoted = json!({ "sent": secret }).to_string();
    format!("{secret}; {}; {}; {quoted}", percent(secret, "-._~", true), base64(secret.as_bytes()))
}

fn answer(status: u16, body: &serde_json::Value) -> Trouble {
    Trouble::Answer { status, content_type: "application/json", body: body.to_string() }
}

/// The newest secret of a kind that the simulator has issued.
fn newest(stage: &Stage, kind: &str) -> String {
    let secrets = stage.simulator.oauth().secrets();
    secrets.into_iter().rev().find(|secret| secret.starts_with(kind)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_sign_in_is_in_a_log_an_answer_or_a_row() {
    let stage = signed_out("secrets_oauth", 1).await;
    let mut seen: Vec<(String, String)> = Vec::new();
    let loud = ["--log", "trace", "--log-format", "json"];
    let mut login = Login::start(&stage, &loud);
    login.paste(&login.agree());
    let (code, said) = login.end();
    assert_eq!(code, Some(0), "{said}");
    seen.push(("auth login".to_owned(), said));
    for arguments in [&["--code", "code/void"][..], &["--code", &stage.simulator.oauth().code(&back(9))]] {
        let mut command = stage.program(&["auth", "login", "beaches"]);
        let ended = Ended::of(&command.args(arguments).args(loud).output().unwrap());
        assert_eq!(ended.code, Some(77), "{ended:?}");
        seen.push(("a refused login".to_owned(), ended.out + &ended.err));
    }
    let mut stranger = Login::start(&stage, &loud);
    stranger.paste(&format!("{}?code={}&state=another", back(1), stage.simulator.oauth().code(&back(1))));
    seen.push(("a stranger's code".to_owned(), stranger.end().1));

    let mut command = stage.program(&["run", "--log", "trace"]);
    command.env("RUST_BACKTRACE", "full");
    let mut daemon = Daemon::of(Running::start(command));
    stage.until_complete().await;
    for status in [400, 502] {
        let said = format!("{} {}", repeated(&newest(&stage, "refresh")), repeated(CLIENT_SECRET));
        let body = json!({ "error": "careless", "error_description": said });
        stage.simulator.faults().push(Fault::new(answer(status, &body)).matching(GRANT).times(2));
        assert!(stage.ask::<bool>(AGED).await);
        stage.simulator.oauth().expire_access_tokens();
        let rests = "select free_at > clock_timestamp() and claimed_by is null from replicator.oauth_token";
        stage.until("a refresh has failed and rests", rests).await;
        stage.simulator.faults().clear();
    }
    assert!(stage.ask::<bool>(AGED).await);
    stage.change_arrives("Seen with a refreshed token").await;
    let said = repeated(&newest(&stage, "access"));
    let body = json!({ "D": { "Success": false, "Code": 1020, "Message": said } });
    stage.simulator.faults().push(Fault::new(answer(401, &body)).unless(GRANT).forever());
    let status = daemon.until("the feed is blocked", |status| !status["feeds"][0]["blocked"].is_null());
    assert!(status.to_string().contains("[secret]; "), "{status:#}");
    for path in ["/", "/status", "/metrics"] {
        let answer = daemon.get(path);
        seen.push((path.to_owned(), answer.head + &answer.body));
    }
    for arguments in
        [&["config", "print"][..], &["config", "check"], &["status", "--json"], &["once", "lookups"]]
    {
        let ended = Ended::of(&stage.program(arguments).args(loud).output().unwrap());
        seen.push((format!("{arguments:?}"), ended.out + &ended.err));
    }
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    let log = daemon.process.said();
    assert!(log.contains("careless, [secret]; [secret]; "), "the log repeats nothing, which proves little");
    seen.push(("the log of run".to_owned(), log));
    seen.push(("schema replicator".to_owned(), stage.rows_as_text("replicator").await));

    let issued =
        stage.simulator.oauth().secrets().into_iter().map(|secret| Secret {
            name: "secret that was issued",
            text: Box::leak(secret.into_boxed_str()),
        });
    let known = [Secret { name: "client's secret", text: CLIENT_SECRET }, Secret { name: "key", text: KEY }];
    let secrets: Vec<Secret> = issued.chain(known).collect();
    assert!(secrets.len() > 8, "{secrets:?}");
    for (place, text) in &seen {
        assert!(!text.is_empty(), "{place} says nothing, which proves nothing");
        assert_unseen(&secrets, place, text);
    }
    let sent = stage.simulator.journal().requests();
    assert!(sent.iter().all(|entry| entry.path != GRANT || entry.authorization.is_none()));
}
