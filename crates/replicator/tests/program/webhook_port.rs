//! The port of the webhooks, as whoever can reach it may misuse it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use spark_simulator::webhooks::{Encoding, sign};

use super::leaks::{Secret, assert_unseen};
use super::stage::Stage;
use super::webhooks::{SECRET, delivering, start};

const GOOD: &str = r#"{"EntityEventSequence":7,"ResourceName":"Property","ResourceRecordKey":"1"}"#;

/// Sends one request and answers all that comes back, but for the time of day.
fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    // A server may refuse, and end, before it has read everything.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    answer.lines().filter(|line| !line.starts_with("date:")).map(|line| line.to_owned() + "\n").collect()
}

fn signed(body: &str) -> String {
    format!("Signature: {}\r\n", sign(SECRET, body.as_bytes(), Encoding::Hex))
}

async fn events(stage: &Stage) -> i64 {
    stage.ask("select count(*) from replicator.event").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_signed_is_refused_in_the_same_words_as_a_feed_that_there_is_not() {
    let stage = delivering("webhook_port_forged", 10).await;
    let (mut daemon, address) = start(&stage);
    stage.until_complete().await;
    let forged = ask(address, "POST", "/webhooks/beaches", "", GOOD.as_bytes());
    assert!(forged.starts_with("http/1.1 401 "), "{forged}");
    let tampered = signed(&GOOD.replace('7', "8"));
    let other_key = format!("Signature: {}\r\n", sign("another", GOOD.as_bytes(), Encoding::Hex));
    for (path, headers) in [
        ("/webhooks/beaches", tampered.as_str()),
        ("/webhooks/beaches", &other_key),
        ("/webhooks/beaches", "Signature: \r\n"),
        ("/webhooks/beaches", "Authorization: Bearer what the deliveries are signed with\r\n"),
        ("/webhooks/beaches", &format!("{}{}", signed(GOOD), signed(GOOD))),
        ("/webhooks/nobody", &signed(GOOD)),
        ("/webhooks/nobody", ""),
        ("/webhooks/beaches%20", &signed(GOOD)),
    ] {
        assert_eq!(ask(address, "POST", path, headers, GOOD.as_bytes()), forged, "{path} {headers}");
    }
    // Whether a body can be read is told to nobody who did not sign it.
    assert_eq!(ask(address, "POST", "/webhooks/beaches", "", b"nonsense"), forged);
    assert_eq!(events(&stage).await, 0);
    daemon.metrics_with("webhook_deliveries_total{feed=\"\",result=\"unauthorized\"} 3");
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    let said = daemon.process.said();
    assert_eq!(
        said.matches("a delivery was refused").count(),
        1,
        "a flood of refusals fills the log: {said}"
    );
    assert_unseen(&[Secret { name: "webhook's secret", text: SECRET }], "the log", &said);
    assert!(!said.contains(&sign(SECRET, GOOD.as_bytes(), Encoding::Hex)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_delivery_is_refused_and_what_was_replayed_changes_nothing() {
    let stage = delivering("webhook_port_malformed", 10).await;
    let (_daemon, address) = start(&stage);
    stage.until_complete().await;
    assert_eq!(stage.run(&["pause", "beaches"]).code, Some(0));
    for bad in ["", "[]", "{}", "{\"value\":[{}]}", "{\"value\":", "\u{0}"] {
        let answer = ask(address, "POST", "/webhooks/beaches", &signed(bad), bad.as_bytes());
        assert!(answer.starts_with("http/1.1 400 "), "{bad:?}: {answer}");
    }
    let big = format!("{GOOD}{}", " ".repeat(1_000_001 - GOOD.len()));
    let answer = ask(address, "POST", "/webhooks/beaches", &signed(&big), big.as_bytes());
    assert!(answer.starts_with("http/1.1 413 "), "{answer}");
    let whole = &big[..1_000_000];
    let answer = ask(address, "POST", "/webhooks/beaches", &signed(whole), whole.as_bytes());
    assert!(answer.starts_with("http/1.1 200 "), "a megabyte is not too much: {answer}");
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        for path in ["/webhooks/beaches", "/webhooks/nobody"] {
            let answer = ask(address, method, path, &signed(""), b"");
            assert!(answer.starts_with("http/1.1 405 "), "{method} {path}: {answer}");
        }
    }
    for path in ["/", "/metrics", "/status", "/webhooks", "/webhooks/", "/webhooks/beaches/more"] {
        let answer = ask(address, "POST", path, &signed(GOOD), GOOD.as_bytes());
        assert!(answer.starts_with("http/1.1 404 "), "{path}: {answer}");
    }
    let row = "select event::text from replicator.event";
    let before: String = stage.ask(row).await;
    let replayed = ask(address, "POST", "/webhooks/beaches", &signed(GOOD), GOOD.as_bytes());
    assert!(replayed.starts_with("http/1.1 200 "), "{replayed}");
    assert_eq!(stage.ask::<String>(row).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_too_much_waits_senders_are_told_when_to_come_again() {
    let stage = delivering("webhook_port_full", 10).await;
    let (daemon, address) = start(&stage);
    stage.until_complete().await;
    // So that nobody reads them; a round that is under way may take a few.
    assert_eq!(stage.run(&["pause", "beaches"]).code, Some(0));
    stage.until("the feed rests", "select paused_at is not null from replicator.feed").await;
    let fill = "insert into replicator.event (feed, resource, key) \
                select 'beaches', 'Property', 'w' || n from generate_series(1, 52000) n";
    sqlx::query(fill).execute(&mut stage.connection().await).await.unwrap();
    let answer = ask(address, "POST", "/webhooks/beaches", &signed(GOOD), GOOD.as_bytes());
    assert!(answer.starts_with("http/1.1 503 ") && answer.contains("retry-after: 30"), "{answer}");
    let others = "select count(*) from replicator.event where key not like 'w%'";
    assert_eq!(stage.ask::<i64>(others).await, 0, "it was written down nevertheless");
    daemon.metrics_with("webhook_deliveries_total{feed=\"beaches\",result=\"full\"} 1");
    daemon.until("the page tells", |status| status["feeds"][0]["events_unread"].as_u64() >= Some(50_000));
    sqlx::query("delete from replicator.event").execute(&mut stage.connection().await).await.unwrap();
    let answer = ask(address, "POST", "/webhooks/beaches", &signed(GOOD), GOOD.as_bytes());
    assert!(answer.starts_with("http/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_that_never_finish_keep_no_delivery_out() {
    let stage = delivering("webhook_port_slow", 10).await;
    let (mut daemon, address) = start(&stage);
    stage.until_complete().await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let over = std::sync::Arc::clone(&stop);
    // Each has sent its head and a part of its body; whoever is let go comes back at once.
    let crowd = std::thread::spawn(move || {
        let half = b"POST /webhooks/beaches HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{";
        let mut crowd: Vec<Option<TcpStream>> = (0..100).map(|_| None).collect();
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            for client in &mut crowd {
                if client.as_mut().is_none_or(|stream| stream.write_all(b" ").is_err()) {
                    *client = TcpStream::connect(address).ok();
                    if let Some(stream) = client {
                        let _ = stream.write_all(half);
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for _ in 0..10 {
        let began = Instant::now();
        let answer = ask(address, "POST", "/webhooks/beaches", &signed(GOOD), GOOD.as_bytes());
        assert!(answer.starts_with("http/1.1 200 "), "{answer}");
        assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    }
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0), "somebody who does not finish keeps it from stopping");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    crowd.join().unwrap();
}
