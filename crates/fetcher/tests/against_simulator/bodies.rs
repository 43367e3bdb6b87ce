//! Answers of success that are none.

use std::time::Duration;

use spark_domain::walk::Position;
use spark_domain::{KeyListForm, Recovery};
use spark_fetcher::Error;
use spark_simulator::{Fault, Trouble};

use crate::raw::{Raw, answer, gzip};
use crate::{Client, Feed, keys, settings};

#[tokio::test]
async fn html_nothing_and_half_a_page_are_asked_for_again() {
    for trouble in [
        Trouble::html(),
        Trouble::empty(),
        Trouble::CutShort { after: 2_000 },
        Trouble::Truncate { after: 300 },
        Trouble::ResetWithin { after: 300 },
    ] {
        let feed = Feed::of(10).await;
        feed.fail(Fault::new(trouble.clone()));
        assert_eq!(feed.client.first().await.unwrap().len(), 10, "{trouble:?}");
        assert_eq!(feed.client.reasons(), ["bad_body"], "{trouble:?}");
    }
}

#[tokio::test]
async fn a_feed_that_keeps_answering_nonsense_is_malformed() {
    for trouble in [Trouble::html(), Trouble::empty(), Trouble::CutShort { after: 2_000 }] {
        let feed = Feed::of(10).await;
        feed.fail(Fault::new(trouble.clone()).forever());
        let error = feed.client.refusal().await;
        assert!(matches!(error, Error::Malformed { .. }), "{trouble:?}: {error:?}");
        assert_eq!((error.reason(), error.recovery()), ("decode", Recovery::Retry { after: None }));
        assert_eq!(feed.requests().len(), 4, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_page_is_counted_as_sent_and_as_unpacked() {
    let feed = Feed::of(100).await;
    let page = feed.client.first().await.unwrap();
    let sent = feed.client.seen()[0].wire_bytes;
    assert_eq!(sent, u64::try_from(feed.requests()[0].bytes).unwrap());
    assert!(page.head.bytes > 1_000 && sent < u64::try_from(page.head.bytes).unwrap());
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_at_the_limit() {
    let bomb = gzip(&vec![b' '; 60_000_000]);
    assert!(bomb.len() < 100_000);
    let raw = Raw::answering(vec![answer("200 OK", "Content-Encoding: gzip\r\n", &bomb)]).await;
    let settings = spark_fetcher::Settings { page_bytes: 100_000, ..settings(&raw.base_url, "t") };
    let client = Client::new(settings);
    let error = client.refusal().await;
    assert!(matches!(error, Error::TooBig { limit: 800_000, .. }), "{error:?}");
    assert_eq!(error.recovery(), Recovery::Shrink);
    assert_eq!(client.seen().len(), 1, "a body that is too big was asked for again");
    assert!(client.seen()[0].wire_bytes < 100_000);
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let page = format!(r#"{{"value":["{}"]}}"#, "x".repeat(2_000_000));
    let raw = Raw::answering(vec![answer("200 OK", "", page.as_bytes())]).await;
    let settings = spark_fetcher::Settings { page_bytes: 100_000, ..settings(&raw.base_url, "t") };
    assert!(matches!(Client::new(settings).refusal().await, Error::TooBig { .. }));
}

#[tokio::test]
async fn a_packed_page_that_ends_early_is_asked_for_again() {
    let whole = gzip(br#"{"value":[{"ListingKey":"1"}]}"#);
    let header = "Content-Encoding: gzip\r\n";
    for cut in [whole.len() - 9, whole.len() - 4, 3] {
        let (bad, good) = (answer("200 OK", header, &whole[..cut]), answer("200 OK", header, &whole));
        let raw = Raw::answering(vec![bad, good]).await;
        let client = raw.client();
        assert_eq!(client.first().await.unwrap().len(), 1);
        assert_eq!(client.reasons(), ["bad_body"], "cut at {cut} of {}", whole.len());
    }
}

#[tokio::test]
async fn an_encoding_that_was_not_asked_for_is_not_guessed_at() {
    let raw = Raw::answering(vec![answer("200 OK", "Content-Encoding: br\r\n", b"{\"value\":[]}")]).await;
    let error = raw.client().refusal().await;
    assert!(matches!(&error, Error::Malformed { problem, .. } if problem.contains("br")), "{error:?}");
}

#[tokio::test]
async fn a_proxys_404_says_nothing_about_a_record() {
    let html = answer("404 Not Found", "Content-Type: text/html\r\n", b"<html>no such host</html>");
    let raw = Raw::answering(vec![html]).await;
    let query = keys(&["1"], KeyListForm::Single);
    let error = raw.client().page(&query, &Position::Start, 1).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "a listing would look removed: {error:?}");
}

#[tokio::test]
async fn the_request_id_is_kept_for_support() {
    let body = br#"{"error":{"code":"1021","message":"no"}}"#;
    let raw = Raw::answering(vec![answer("403 Forbidden", "X-Request-Id: abc-123\r\n", body)]).await;
    let error = raw.client().refusal().await;
    assert_eq!(error.exchange().request_id.as_deref(), Some("abc-123"));
    assert!(error.to_string().contains("request abc-123"), "{error}");
}

#[tokio::test]
async fn a_page_without_a_date_has_no_moment() {
    let raw = Raw::answering(vec![answer("200 OK", "", b"{\"value\":[]}")]).await;
    let page = raw.client().first().await.unwrap();
    assert_eq!((page.head.as_of, page.len()), (None, 0));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let mut settings = settings("http://127.0.0.1:1/OData", "t");
    settings.timeouts.connect = Duration::from_secs(2);
    let error = Client::new(settings).refusal().await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}
