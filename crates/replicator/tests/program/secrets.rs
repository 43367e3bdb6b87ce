//! No secret in any byte that leaves the process, whoever provokes it: a feed and a proxy that repeat what they
//! were sent, a database that refuses, a log that says all it can.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::json;
use spark_simulator::postgres::{Settings, ThrowAwayPostgres};
use spark_simulator::webhooks::{Encoding, post, sign};
use spark_simulator::{Fault, Trap, Trouble};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

use super::leaks::{Secret, assert_unseen, base64, percent};
use super::process::{Ended, Running, run};
use super::stage::{Daemon, Stage};

const TOKEN: Secret = Secret { name: "token", text: r#"tok"EN\/+%26&<i>='s3cr3t~of~Beaches"# };
const PASSWORD: Secret =
    Secret { name: "database's password", text: r#"pass"WORD\/+%3D?#@:'of the Database"# };
const PROXY: Secret = Secret { name: "proxy's password", text: r#"prox"Y\/+%5C?#@:&s3cr3t,of,Proxies"# };
const WEBHOOK: Secret = Secret { name: "webhook's secret", text: r#"webh"OOK\/+%7C?#@:=s3cr3t'of;Events"# };
const BEARER: Secret = Secret { name: "webhook's token", text: r#"bear"ER\/+%7B?#@:=s3cr3t'of;Senders"# };
const ALL: [Secret; 5] = [TOKEN, PASSWORD, PROXY, WEBHOOK, BEARER];

/// Where secrets pass on their way, with a configuration that knows all of them.
struct Vault {
    server: ThrowAwayPostgres,
    stage: Stage,
    seen: Mutex<Vec<(String, String)>>,
}

impl Vault {
    async fn new() -> Self {
        let server = ThrowAwayPostgres::start_with(Settings { tcp: true, ..Settings::default() }).unwrap();
        let book = server.folder().join("data/pg_hba.conf");
        let trust = std::fs::read_to_string(&book).unwrap();
        std::fs::write(&book, format!("host all replicator 127.0.0.1/32 scram-sha-256\n{trust}")).unwrap();
        let address = server.tcp_url("postgres").unwrap();
        let vault_url = |address: &str| {
            let (_, place) = address.rsplit_once('@').unwrap();
            format!("postgres://replicator:{}@{place}", percent(PASSWORD.text, "", true))
        };
        let stage = Stage::at(vault_url(&address), 30).await;
        let vault = Self { server, stage, seen: Mutex::default() };
        vault.set_password(PASSWORD.text).await;
        vault.as_root("alter database postgres owner to replicator; select pg_reload_conf()").await;
        let proxy = proxy_that_repeats_what_it_was_sent();
        let behind = format!(
            "[feeds.behind]\nbase_url = '{}'\ntoken_file = '{}'\nresources = ['Office']\n\
             proxy = 'http://guard:{}@{proxy}'\nupdate_every = '300ms'\n\
             [feeds.behind.requests]\nattempts = 2\nbackoff_base = '5ms'\nbackoff_cap = '20ms'\n\
             [feeds.behind.timing]\nretry_unit = '200ms'\nrefusal_gap = '300ms'\n",
            vault.stage.simulator.base_url(),
            vault.stage.token_file().display(),
            percent(PROXY.text, "", true),
        );
        let text = std::fs::read_to_string(vault.stage.config()).unwrap();
        let impatient = "[feeds.beaches.requests]\nattempts = 2\n";
        let text = text.replace("[feeds.beaches.requests]\n", impatient);
        let text = text.replace("page_size = 100", "page_size = 10");
        let bearer = vault.stage.config().with_file_name("bearer");
        std::fs::write(&bearer, BEARER.text).unwrap();
        let webhook = format!(
            "[webhooks]\nlisten = '127.0.0.1:0'\n[feeds.behind.webhook]\nsecret = {}\nbearer_file = '{}'\n",
            json!(WEBHOOK.text),
            bearer.display(),
        );
        std::fs::write(vault.stage.config(), text + &behind + &webhook).unwrap();
        vault.stage.simulator.set_token(TOKEN.text);
        vault.stage.write_token(TOKEN.text);
        vault
    }

    async fn as_root(&self, sql: &str) {
        let mut root = PgConnection::connect(&self.server.url("postgres")).await.unwrap();
        raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut root).await.unwrap();
    }

    async fn set_password(&self, password: &str) {
        let quoted = password.replace('\'', "''");
        self.as_root(&format!(
            "do $$ begin if to_regrole('replicator') is null then create role replicator login; end if; end $$; \
             alter role replicator password '{quoted}'"
        ))
        .await;
    }

    fn saw(&self, place: impl Into<String>, text: impl Into<String>) {
        self.seen.lock().unwrap().push((place.into(), text.into()));
    }

    /// Runs a command that says all it can, in either form of the log by turns.
    fn tell(&self, arguments: &[&str]) {
        let form = ["text", "json"][self.seen.lock().unwrap().len() % 2];
        let mut command = self.stage.program(arguments);
        let ended = Ended::of(&command.args(["--log", "trace", "--log-format", form]).output().unwrap());
        self.saw(format!("{arguments:?}"), ended.out + &ended.err);
    }

    fn daemon(&self) -> Running {
        let mut command = self.stage.program(&["run", "--log", "trace", "--record-values"]);
        command.arg("--record").arg(self.recordings());
        command.env("RUST_BACKTRACE", "full");
        Running::start(command)
    }

    fn recordings(&self) -> PathBuf {
        self.stage.config().with_file_name("recordings")
    }

    /// Everything that was said, held against every secret.
    fn assert_tight(&self) {
        for (place, text) in &*self.seen.lock().unwrap() {
            assert!(!text.is_empty(), "{place} says nothing, which proves nothing");
            assert_unseen(&ALL, place, text);
        }
    }
}

/// What a careless server says: the token in every form that a feed may repeat.
fn careless() -> Vec<String> {
    let token = TOKEN.text;
    let encoded = base64(token.as_bytes());
    let mut said = vec![
        format!("Authorization: Bearer {token} is not welcome"),
        format!("?access_token={}&{}", percent(token, "-._~", true), percent(token, "-._~", false)),
        format!("{encoded}, {}", encoded.replace('+', "-").replace('/', "_")),
        json!({ "request": { "headers": { "authorization": token } } }).to_string(),
    ];
    // However long the words before it are, what is cut off must not leave a part of it.
    said.extend((200..240).step_by(13).map(|length| format!("{} {token}", "x".repeat(length))));
    said
}

/// The same in bodies that only look like JSON: the secret stands outside of all strings, or across them.
fn unclean(secret: &str) -> [String; 3] {
    [
        format!(r#"{{error: invalid token Bearer {secret}, "hint": "ask Bob"}}"#),
        format!(r#"{{"value":[{{"MemberKey":"1","Bio":"She said "call {secret}" now"}}]}}"#),
        format!(r#"{{"error": {secret}, "code": 1"#),
    ]
}

/// Answers like a proxy that is asked to explain itself.
fn proxy_that_repeats_what_it_was_sent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (turn, stream) in listener.incoming().flatten().enumerate() {
            let mut stream = stream;
            let mut head = Vec::new();
            let mut piece = [0; 4_096];
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(length @ 1..) => head.extend_from_slice(&piece[..length]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let names = ["proxy-authorization", "authorization"];
            let line = head.lines().find(|line| line.to_lowercase().starts_with(names[turn % 2]));
            let status = ["407 No", "500 No", "403 No", "200 OK"][turn / 2 % 4];
            let clean = json!({ "error": { "code": turn, "message": line } }).to_string();
            let [_, _, broken] = unclean(line.unwrap_or_default());
            let said = if turn % 3 == 2 { broken } else { clean };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{said}",
                said.len()
            );
        }
    });
    address
}

/// Deliveries good and bad, and how they were answered: what is signed is sent in the wrong place too.
async fn deliveries(line: &str) -> Vec<u16> {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let address = line["address"].as_str().unwrap().parse().unwrap();
    let body = r#"{"EntityEventSequence":1,"ResourceName":"Office","ResourceRecordKey":"1"}"#;
    let signature = sign(WEBHOOK.text, body.as_bytes(), Encoding::Hex);
    let bearer = format!("Bearer {}", BEARER.text);
    let mut answers = Vec::new();
    for (path, signature, bearer, body) in [
        ("/webhooks/behind", &signature, &bearer, body),
        ("/webhooks/behind", &signature, &bearer, "nonsense"),
        ("/webhooks/beaches", &signature, &bearer, body),
        ("/nothing", &bearer, &signature, body),
    ] {
        let headers = [("Signature", signature), ("Authorization", bearer)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.clone()));
        // The first one opens a connection, which may take longer than a sender waits; then it comes again.
        let mut answer = 503;
        for _ in 0..20 {
            if answer == 503 {
                answer = post(address, path, &headers, body.as_bytes()).await.unwrap();
            }
        }
        answers.push(answer);
    }
    assert_eq!(answers, [200, 401, 401, 404]);
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_log_an_answer_or_a_row_of_a_daemon_that_meets_all_kinds_of_trouble() {
    let vault = Vault::new().await;
    let (stage, trap) = (&vault.stage, Trap::start().await.unwrap());
    let faults = stage.simulator.faults();
    faults.push(Fault::new(Trouble::ForeignLink(trap.origin())).on("Property"));
    let mut process = vault.daemon();
    let inbox = process.wait_for("deliveries of events are taken");
    let mut daemon = Daemon::of(process);
    let complete = "select count(*) = 6 and bool_and(complete_through_at is not null) \
                    from replicator.freshness where feed = 'beaches'";
    stage.until("all is downloaded", complete).await;
    stage.change_arrives("Seen with secrets").await;

    let clean =
        careless().into_iter().map(|message| json!({ "error": { "code": "no", "message": message } }));
    let bodies = unclean(TOKEN.text).into_iter().chain(clean.map(|body| body.to_string()));
    for (turn, body) in (1..).zip(bodies) {
        // The last one turns the resource off, for a reason that is kept.
        let status = match turn {
            11 => 400,
            odd if odd % 2 == 1 => 200,
            _ => 500,
        };
        let answer = Trouble::Answer { status, content_type: "application/json", body };
        faults.push(Fault::new(answer).on("Member").nth(turn));
    }
    faults.push(Fault::new(Trouble::Redirect(format!("{}/?t=1", trap.origin()))).on("Office"));
    faults.push(Fault::new(Trouble::ResetWithin { after: 10 }).on("OpenHouse").times(6));
    let told = "select array_agg(distinct resource || ' of ' || feed) @> array['Member of beaches', \
                'Office of beaches', 'Property of beaches', 'Office of behind'] \
                from replicator.job_run where outcome in ('failed', 'refused')";
    stage.until("failures of all kinds are told", told).await;

    for answer in deliveries(&inbox).await {
        vault.saw("a delivery's answer", answer.to_string());
    }

    let denied = json!({ "D": { "Success": false, "Code": 1000, "Message": careless()[0] } }).to_string();
    let denied = Trouble::Answer { status: 401, content_type: "application/json", body: denied };
    faults.push(Fault::new(denied).forever());
    daemon.until("the feed is blocked", |status| !status["feeds"][0]["blocked"].is_null());
    for path in ["/", "/status", "/freshness", "/metrics", "/healthz", "/readyz", "/nothing?of=that"] {
        let answer = daemon.get(path);
        vault.saw(path, answer.head + &answer.body);
    }
    let key = &stage.simulator.world().keys(spark_simulator::Resource::Property)[0];
    for command in [
        &["config", "check"][..],
        &["config", "print"],
        &["config", "print", "--json"],
        &["status"],
        &["status", "--json"],
        &["once", "update"],
        &["once", "purge", "--feed", "behind"],
        &["resync", "beaches"],
        &["purge", "plan"],
        &["purge", "approve", "999", "--feed", "beaches"],
        &["get", "beaches", "Property", key],
        &["get", "beaches", "Property", "no-such-key"],
        &["pause", "behind"],
        &["resume", "behind"],
        &["migrate", "--dry-run"],
        &["healthcheck", "--address", &daemon.address],
        &["nonsense"],
    ] {
        vault.tell(command);
    }
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    let said = daemon.process.said();
    vault.saw("the log of run", said.clone());
    for feed in ["beaches", "behind"] {
        let recording = std::fs::read(vault.recordings().join(format!("{feed}.values.jsonl"))).unwrap();
        let mut recording = String::from_utf8(recording).unwrap();
        assert!(recording.contains(":\\\"[secret]\\\""), "nobody repeated a secret to {feed}");
        assert!(
            recording.contains(r#""body":"[secret]""#),
            "nobody repeated one outside of strings to {feed}"
        );
        // JSON lines of JSON, which may say JSON: a secret may stand under any of their escapes.
        for depth in 0..6 {
            vault.saw(format!("the recording of {feed}, {depth} times unescaped"), recording.clone());
            recording =
                recording.replace("\\\\", "\0").replace("\\\"", "\"").replace("\\/", "/").replace('\0', "\\");
        }
    }
    vault.tell(&["once", "initial_download", "--resource", "Member"]);
    vault.saw("schema replicator", stage.rows_as_text("replicator").await);
    vault.saw("Postgres' log", vault.server.log());
    vault.assert_tight();
    for heard in ["Authorization: Bearer [secret] is not welcome", "\"TRACE\""] {
        assert!(said.contains(heard), "{heard:?} is not in the log, so this proves little");
    }
    assert!(trap.journal().requests().is_empty(), "another origin was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_shown_while_the_database_refuses_or_is_away() {
    let vault = Vault::new().await;
    vault.set_password("another one").await;
    let commands = [&["status"][..], &["migrate"], &["once", "update"]];
    let mut refused = vault.daemon();
    assert_eq!(refused.wait(), Some(77));
    vault.saw("run, refused", refused.said());
    for command in commands {
        vault.tell(command);
    }

    vault.server.stop();
    let mut away = Daemon::of(vault.daemon());
    away.process.wait_for("the database is waited for");
    for path in ["/", "/status", "/readyz", "/metrics"] {
        let answer = away.get(path);
        vault.saw(path, answer.head + &answer.body);
    }
    vault.tell(&["status"]);
    away.process.signal("TERM");
    assert_eq!(away.process.wait(), Some(0));
    vault.saw("run, alone", away.process.said());
    vault.assert_tight();
}

#[test]
fn a_secret_that_was_written_in_the_wrong_place_or_way_is_not_repeated() {
    let secrets = [Secret { name: "secret", text: "hunter2-hunter2" }];
    let hush = secrets[0].text;
    for text in [
        // Unescaped: the URL means something else than its writer did.
        format!("[database]\nurl = 'postgres://r:1/{hush}@db/mls'"),
        format!("[database]\nurl = 'postgres://r:1?{hush}@db/mls'"),
        format!("[database]\nurl = 'postgres://r:1#{hush}@db/mls'"),
        format!("[database]\nurl = 'postgres://r:{hush}@db:port/mls'"),
        format!("[database]\nurl = 'postgres:r:{hush}@db/mls'"),
        format!("[database]\nurl = 'r:{hush}@db/mls'"),
        format!("[database]\nurl = '{hush}'"),
        format!("[database]\nurl = 'mysql://r:{hush}@db/mls'"),
        format!("[database]\nurl = 'postgres://db/mls?user=r&password={hush}'"),
        format!("[database]\nurl = ['postgres://r:{hush}@db/mls']"),
        format!("[database]\nurl = 'postgres://db/mls'\npasword = '{hush}'"),
        format!("[database]\nurl = 'postgres://db/mls\npassword = '{hush}"),
        format!("[feeds.a]\ntoken = ['{hush}']"),
        format!("[feeds.a]\ntoken = '{hush} and more'"),
        format!("[feeds.a]\ntoken = {{ text = '{hush}' }}"),
        format!("[feeds.a]\ntoken = {hush}"),
        format!("[feeds.a]\ntokn = '{hush}'"),
        format!("[feeds.a]\ntoken = 't'\n[feeds.a.webhook]\nsecret = ['{hush}']"),
        format!("[feeds.a]\ntoken = 't'\n[feeds.a.webhook]\nsecrt = '{hush}'"),
        format!("[feeds.a]\ntoken = 't'\nwebhook = '{hush}'"),
        format!("[feeds.a]\ntoken = '{hush}'\ntoken = '{hush}'"),
        format!("[feeds.a]\ntoken = 't'\nproxy = 'guard:{hush}@proxy:3128'"),
        format!("[feeds.a]\ntoken = 't'\nproxy = 'socks9://guard:{hush}@proxy:3128'"),
        format!("[feeds.a]\ntoken = 't'\nproxy = 'http://guard:{hush}@:3128'"),
        format!("[feeds.a]\ntoken = 't'\nbase_url = 'https://user:{hush}@mls.example/'"),
        format!("[feeds.a]\ntoken = 't'\nbase_url = 'https://mls.example/?access_token={hush}'"),
        format!("[feeds.a]\ntoken = 't'\nbase_url = 'ftp://user:{hush}@mls.example/'"),
        format!("[feeds.a]\ntoken = 't'\nbase_url = 'user:{hush}@mls.example/'"),
    ] {
        let whole = if text.contains("[database]") {
            format!("{text}\n[feeds.a]\ntoken = 't'\n")
        } else {
            format!("[database]\nurl = 'postgres://nobody@127.0.0.1:1/mls'\n{text}\n")
        };
        let (_folder, path) = super::process::file(&whole);
        let path = path.to_str().unwrap();
        for arguments in [
            &["config", "print"][..],
            &["config", "print", "--json"],
            &["config", "check", "--offline"],
            &["once", "update", "--log", "trace"],
            &["status", "--log", "trace"],
        ] {
            let ended = run(arguments.iter().copied().chain(["--config", path]));
            assert_unseen(&secrets, &format!("{arguments:?} with {text:?}"), &(ended.out + &ended.err));
        }
    }
}
