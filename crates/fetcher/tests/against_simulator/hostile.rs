//! What a feed could do to us if it meant to: each attempt ends soon, with a clear error, and is survived.

use std::time::Duration;

use spark_domain::Recovery;
use spark_fetcher::{Error, Settings};
use spark_simulator::{Fault, Trouble};
use tokio::time::Instant;

use crate::raw::{Raw, answer, gzip};
use crate::{Client, Feed, settings};

/// The longest text that an error may put into a log line or a row.
const LONGEST_ERROR: usize = 600;

/// Asks until there is an error, and checks that it is a short one.
async fn refusal(client: &Client) -> Error {
    let error = tokio::time::timeout(Duration::from_secs(30), client.refusal()).await.unwrap();
    let shown = format!("{error} {error:?}");
    assert!(shown.len() < 2 * LONGEST_ERROR, "{} characters: {}", shown.len(), &shown[..LONGEST_ERROR]);
    error
}

/// The error after one answer that is repeated.
async fn refused(headers: &str, body: &[u8]) -> Error {
    let raw = Raw::answering(vec![answer("200 OK", headers, body)]).await;
    refusal(&raw.client()).await
}

#[tokio::test]
async fn a_body_in_pieces_without_end_is_cut_at_the_limit() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let piece = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
    let raw = Raw::without_end(head, piece).await;
    let client = Client::new(Settings { page_bytes: 100_000, ..settings(&raw.base_url, "t") });
    let error = refusal(&client).await;
    assert!(matches!(error, Error::TooBig { limit: 800_000, .. }), "{error:?}");
    assert!(client.seen()[0].wire_bytes < 1_600_000, "{:?}", client.seen());
}

#[tokio::test]
async fn headers_without_end_are_given_up() {
    for piece in ["X-More: and more\r\n".repeat(500), "x".repeat(65_536)] {
        let raw = Raw::without_end("HTTP/1.1 200 OK\r\nX-Long: ", piece.into_bytes()).await;
        let error = refusal(&raw.client()).await;
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn gzip_within_gzip_is_not_unpacked() {
    let twice = gzip(&gzip(&vec![b' '; 10_000_000]));
    for (headers, problem) in [
        ("Content-Encoding: gzip, gzip\r\n", "not asked for"),
        ("Content-Encoding: gzip\r\n", "no JSON object"),
    ] {
        let error = refused(headers, &twice).await;
        assert!(
            matches!(&error, Error::Malformed { problem: said, .. } if said.contains(problem)),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_error_that_is_a_bomb_is_read_no_further_than_an_error() {
    let raw =
        Raw::answering(vec![answer("500 No", "Content-Encoding: gzip\r\n", &gzip(&vec![b' '; 60_000_000]))])
            .await;
    assert!(matches!(refusal(&raw.client()).await, Error::Unavailable { .. }));
}

#[test]
fn nesting_does_not_exhaust_the_stack_wherever_it_stands() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", r#"{"value":"#.repeat(100_000), "}".repeat(100_000));
    let look = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for body in [
                format!(r#"{{"value":{objects}}}"#),
                format!(r#"{{"@odata.nextLink":{deep},"value":[]}}"#),
                format!(r#"{{"error":{deep}}}"#),
                format!(r#"{{"D":{objects}}}"#),
                deep[..100_000].to_owned(),
                objects.clone(),
            ] {
                let error = refused("", body.as_bytes()).await;
                assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
            }
            let unavailable = answer("500 No", "", format!(r#"{{"error":{deep}}}"#).as_bytes());
            let raw = Raw::answering(vec![unavailable]).await;
            assert!(matches!(refusal(&raw.client()).await, Error::Unavailable { .. }));
            // Found and not read: each record answers for itself.
            let page = format!(r#"{{"value":[{deep},{objects}],"@odata.count":{deep},"more":{deep}}}"#);
            let raw = Raw::answering(vec![answer("200 OK", "", page.as_bytes())]).await;
            let page = raw.client().first().await.unwrap();
            assert_eq!((page.len(), page.head.count), (2, None));
        });
    };
    // A fraction of the two megabytes that the runtime gives to its threads.
    std::thread::Builder::new().stack_size(512 * 1024).spawn(look).unwrap().join().unwrap();
}

#[tokio::test]
async fn a_page_of_more_records_than_any_has_is_refused_before_it_takes_more_than_its_size() {
    let body = format!(r#"{{"value":[1{}]}}"#, ",1".repeat(20_000_000));
    let error = refused("Content-Encoding: gzip\r\n", &gzip(body.as_bytes())).await;
    assert!(
        matches!(&error, Error::Malformed { problem, .. } if problem.contains("at most 200000 records")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_page_that_is_one_long_text_is_not_repeated_in_the_error() {
    let error = refused("", format!(r#"{{"value":"{}"}}"#, "x".repeat(5_000_000)).as_bytes()).await;
    assert!(matches!(&error, Error::Malformed { problem, .. } if problem.contains("xxx")), "{error:?}");
    let name = "n".repeat(5_000_000);
    let raw = Raw::answering(vec![answer("200 OK", "", format!("<a><{name}></b></a>").as_bytes())]).await;
    let error = raw.client().fetcher.metadata(spark_domain::job::Priority::Bulk).await.unwrap_err();
    assert!(error.to_string().len() < LONGEST_ERROR, "{}", error.to_string().len());
}

#[tokio::test]
async fn a_link_longer_than_any_server_takes_is_not_kept() {
    let raw = |link: String| format!(r#"{{"value":[],"@odata.nextLink":"{link}"}}"#);
    let error = refused("", raw(format!("Property?$skiptoken={}", "x".repeat(1_000_000))).as_bytes()).await;
    assert!(matches!(&error, Error::Malformed { problem, .. } if problem.contains("nextLink")), "{error:?}");
    let error = refused("", raw(format!("https://{}/", "x".repeat(15_000))).as_bytes()).await;
    assert!(matches!(error, Error::ForeignLink { .. } | Error::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_count_that_counts_no_records_is_not_believed() {
    for count in ["1e30", "-1", "\"many\"", "{}"] {
        let body = format!(r#"{{"@odata.count":{count},"value":[]}}"#);
        let raw = Raw::answering(vec![answer("200 OK", "", body.as_bytes())]).await;
        assert_eq!(raw.client().first().await.unwrap().head.count, None, "{count}");
    }
    let error = refused("", br#"{"@odata.count":18446744073709551615,"value":[]}"#).await;
    assert!(
        matches!(&error, Error::Malformed { problem, .. } if problem.contains("@odata.count")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_feed_that_wants_to_be_left_alone_for_years_is_left_alone_for_an_hour() {
    const HOUR: Duration = Duration::from_hours(1);
    for wait in
        ["999999999", "18446744073709551615", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"]
    {
        let feed = Feed::of(3).await;
        feed.fail(Fault::new(Trouble::throttle(Some(wait))));
        let error = refusal(&feed.client).await;
        assert!(matches!(error, Error::Throttled { after, .. } if after == HOUR), "{wait}: {error:?}");
        let heard = async {
            while feed.client.silences.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), heard).await.unwrap();
        assert_eq!(*feed.client.silences.lock().unwrap(), [HOUR], "{wait}");

        for (status, code) in [(503, 1510), (503, 1023)] {
            let feed = Feed::of(3).await;
            let answer = Trouble::Refuse {
                status,
                code,
                shape: spark_simulator::ErrorShape::D,
                retry_after: Some(wait.to_owned()),
            };
            feed.fail(Fault::new(answer));
            let began = Instant::now();
            let error = refusal(&feed.client).await;
            let after =
                matches!(error.recovery(), Recovery::Retry { after: Some(HOUR) } | Recovery::WaitForSync);
            assert!(after && began.elapsed() < HOUR, "{wait}, {code}: {error:?}");
        }
    }
}

#[tokio::test]
async fn redirects_in_a_circle_are_asked_for_once() {
    let feed = Feed::of(3).await;
    feed.fail(Fault::new(Trouble::Redirect(format!("{}/Property", feed.simulator.base_url()))).forever());
    let error = refusal(&feed.client).await;
    assert!(matches!(error, Error::Redirected { .. }), "{error:?}");
    assert_eq!(feed.requests().len(), 1);
}
