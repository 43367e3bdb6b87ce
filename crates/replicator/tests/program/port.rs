//! The port of a daemon, as whoever can reach it may misuse it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::stage::{Daemon, Stage};

/// The paths that answer.
const PATHS: [&str; 6] = ["/", "/status", "/freshness", "/metrics", "/healthz", "/readyz"];

/// What an answer takes at most, on a slow machine too.
const SOON: Duration = Duration::from_secs(5);

/// More than anything here reads of one request, sockets' buffers included.
const MOST: usize = 64_000_000;

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// All that it answers until it ends the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // An answer may be cut off by the reset that follows a request which was not read to its end.
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it is kept waiting: {error}"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

/// Sends as much as is taken, and answers how much that was.
fn pour(stream: &mut TcpStream, head: &str, piece: &[u8], most: usize) -> usize {
    let mut sent = 0;
    let mut going = stream.write_all(head.as_bytes());
    while going.is_ok() && sent < most {
        going = stream.write_all(piece);
        sent += piece.len();
    }
    sent
}

fn assert_answers_soon(daemon: &Daemon) {
    for path in ["/healthz", "/metrics", "/readyz"] {
        let began = Instant::now();
        assert_eq!(daemon.get(path).status, 200, "{path}");
        assert!(began.elapsed() < SOON, "{path} took {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_a_byte_now_and_then_keep_nobody_out() {
    let stage = Stage::new("port_slow", 10).await;
    let daemon = stage.daemon();
    stage.until_complete().await;
    let address = daemon.address.clone();
    let (stay, until) = channel::<()>();
    // Whoever is let go comes back at once, and many more wait at the door.
    std::thread::spawn(move || {
        let mut crowd: Vec<TcpStream> = (0..200).map(|_| connect(&address)).collect();
        while until.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            for client in &mut crowd {
                if client.write_all(b"G").is_err() {
                    let Ok(again) = TcpStream::connect(&address) else { return };
                    *client = again;
                }
            }
        }
    });
    for _ in 0..20 {
        assert_answers_soon(&daemon);
    }
    drop(stay);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_client_sends_is_not_read_to_its_end() {
    let stage = Stage::new("port_floods", 10).await;
    let mut daemon = stage.daemon();
    stage.until_complete().await;
    let line = [b'x'; 16_384];
    for (what, head, piece) in [
        ("a header without end", "GET / HTTP/1.1\r\nHost: a\r\nX-Long: ", &line[..]),
        ("headers without end", "GET / HTTP/1.1\r\nHost: a\r\n", b"X-More: and more\r\n"),
        ("a request line without end", "GET /", &line),
        ("a method without end", "", &line),
        ("a body without end", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n", &line),
        (
            "a body in pieces",
            "POST /status HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n",
        ),
        (
            "a body where none belongs",
            "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n",
            &line,
        ),
    ] {
        let mut client = connect(&daemon.address);
        let sent = pour(&mut client, head, piece, MOST);
        assert!(sent < MOST, "{what} was read to its end");
        let answer = rest(client);
        assert!(!answer.starts_with("HTTP/1.1 200") || what.ends_with("belongs"), "{what}: {answer}");
        assert_answers_soon(&daemon);
    }
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_row_are_answered_in_a_row_and_unread_answers_hold_nothing_up() {
    let stage = Stage::new("port_pipeline", 10).await;
    let mut daemon = stage.daemon();
    stage.until_complete().await;
    let mut client = connect(&daemon.address);
    let request = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.write_all((request.repeat(200) + last).as_bytes()).unwrap();
    assert_eq!(rest(client).matches("alive").count(), 201);

    let mut deaf: Vec<TcpStream> = (0..6).map(|_| connect(&daemon.address)).collect();
    for client in &mut deaf {
        client.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        pour(client, "", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10).as_bytes(), 20_000);
    }
    assert_answers_soon(&daemon);
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0), "somebody who does not listen keeps it from stopping");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reaches_the_port_can_read_and_change_nothing() {
    let stage = Stage::new("port_reads", 10).await;
    let daemon = stage.daemon();
    stage.until_complete().await;
    // A paused feed changes nothing by itself but its lease and what is measured at every look.
    assert_eq!(stage.run(&["pause", "beaches"]).code, Some(0));
    daemon.until("the feed is paused", |status| status["feeds"][0]["standing"] == "paused");
    stage
        .until("all runs are over", "select count(*) = 0 from replicator.job_run where outcome = 'running'")
        .await;
    let rows = async || {
        let tables = [
            "operator_request",
            "resource",
            "checkpoint",
            "purge_plan",
            "tombstone",
            "quarantine",
            "job_run",
            "relation_set",
        ];
        let mut all = stage.rows_as_text("mls").await;
        for table in tables {
            let rows = format!(
                "select coalesce(string_agg(r::text, ' ' order by r::text), '') from replicator.{table} r"
            );
            all += &stage.ask::<String>(&rows).await;
        }
        all + &stage.ask::<String>("select paused_at::text || paused_by from replicator.feed").await
    };
    let before = rows().await;
    for path in PATHS.into_iter().chain(["/resume", "/purge/approve", "/nothing"]) {
        for method in
            ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "NONSENSE"]
        {
            for body in ["", "feed=beaches"] {
                let mut client = connect(&daemon.address);
                let target = if method == "CONNECT" { "beaches:443" } else { path };
                let request = format!(
                    "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                client.write_all(request.as_bytes()).unwrap();
                let answer = rest(client).to_lowercase();
                assert!(answer.starts_with("http/1.1 405 "), "{method} {path}: {answer}");
                assert!(answer.contains("allow: get, head"), "{method} {path}: {answer}");
            }
        }
        for arguments in ["?resume=beaches", "?purge=approve&plan=1", "?action=migrate"] {
            daemon.get(&format!("{path}{arguments}"));
        }
    }
    for path in PATHS {
        let mut client = connect(&daemon.address);
        client.write_all(format!("HEAD {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let answer = rest(client);
        assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\n"), "{path}: {answer}");
    }
    assert_eq!(rows().await, before);
}
