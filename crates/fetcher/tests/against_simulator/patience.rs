//! Asking again: how often, how slowly, and when not.

use std::time::Duration;

use spark_domain::job::Priority;
use spark_domain::walk::Position;
use spark_domain::{Filter, KeyListForm, Query, RecordKey, Recovery, Resource};
use spark_fetcher::Error;
use spark_simulator::{Fault, Trouble};
use tokio::time::Instant;

use crate::Feed;

#[tokio::test]
async fn passing_trouble_passes() {
    let feed = Feed::of(3).await;
    feed.fail(Fault::new(Trouble::error(502, 502)));
    feed.fail(Fault::new(Trouble::Reset).nth(2));
    feed.fail(Fault::new(Trouble::d(503, 1510)).nth(3));
    assert_eq!(feed.client.first().await.unwrap().len(), 3);
    assert_eq!(feed.client.reasons(), ["http_5xx", "connect", "http_5xx"]);
    assert_eq!(feed.requests().len(), 4);
}

#[tokio::test]
async fn a_broken_connection_is_tried_until_the_attempts_are_spent() {
    let feed = Feed::of(3).await;
    feed.fail(Fault::new(Trouble::Reset).forever());
    let error = feed.client.refusal().await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(feed.client.reasons(), ["connect"; 3]);
    assert_eq!((error.reason(), error.recovery()), ("network", Recovery::Retry { after: None }));
    assert!(std::error::Error::source(&error).is_some(), "the cause is lost");
}

#[tokio::test]
async fn retry_after_is_kept_as_seconds_and_as_a_date() {
    let feed = Feed::of(3).await;
    feed.simulator.clock().run_at(0.0);
    let date =
        (feed.simulator.clock().now() + chrono::TimeDelta::seconds(2)).format("%a, %d %b %Y %H:%M:%S GMT");
    for hint in ["1".to_owned(), date.to_string()] {
        let Trouble::Refuse { shape, .. } = Trouble::error(503, 503) else { unreachable!() };
        feed.fail(Fault::new(Trouble::Refuse { status: 503, code: 503, shape, retry_after: Some(hint) }));
        let start = Instant::now();
        feed.client.first().await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1), "it came back after {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_wait_that_no_clock_can_hold_is_an_hour() {
    let hour = Duration::from_hours(1);
    for hint in ["18446744073709551615", "999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        for (status, code) in [(429, 1550), (503, 503), (503, 1023)] {
            let feed = Feed::of(3).await;
            let Trouble::Refuse { shape, .. } = Trouble::d(status, code) else { unreachable!() };
            let retry_after = Some(hint.to_owned());
            feed.fail(Fault::new(Trouble::Refuse { status, code, shape, retry_after }).forever());
            let error = feed.client.refusal().await;
            assert_eq!(feed.requests().len(), 1, "{status}, {hint}: {error}");
            if code == 1550 {
                assert!(matches!(error, Error::Throttled { after, .. } if after == hour), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_feed_that_asks_for_an_hour_is_left_alone() {
    let feed = Feed::of(3).await;
    let Trouble::Refuse { shape, .. } = Trouble::error(503, 503) else { unreachable!() };
    let retry_after = Some("3600".to_owned());
    feed.fail(Fault::new(Trouble::Refuse { status: 503, code: 503, shape, retry_after }));
    let after = Some(Duration::from_hours(1));
    assert_eq!(feed.client.refusal().await.recovery(), Recovery::Retry { after });
    assert_eq!(feed.requests().len(), 1);
}

#[tokio::test]
async fn not_in_sync_is_waited_for_and_leaves_its_mark_on_the_page() {
    let feed = Feed::of(3).await;
    for code in [1023, 1024, 2005] {
        feed.fail(Fault::new(Trouble::d(503, code)));
        let page = feed.client.first().await.unwrap();
        assert!(page.head.unsynced, "{code} left no mark");
    }
    assert_eq!(feed.client.reasons(), ["not_in_sync"; 3]);
    assert!(!feed.client.first().await.unwrap().head.unsynced);
}

#[tokio::test]
async fn patience_with_a_feed_out_of_sync_ends() {
    let feed = Feed::of(3).await;
    feed.fail(Fault::new(Trouble::error(503, 1024)).forever());
    let error = feed.client.refusal().await;
    assert!(matches!(error, Error::NotInSync(_)), "{error:?}");
    assert_eq!(error.recovery(), Recovery::WaitForSync);
    let asked = feed.requests().len();
    assert!((2..=6).contains(&asked), "asked {asked} times in 110 ms at 20 ms");
}

#[tokio::test]
async fn a_refused_link_is_tried_verbatim_once_and_then_the_walk_starts_over() {
    for status in [400, 404, 410] {
        let feed = Feed::of(30).await;
        let link = feed.client.first().await.unwrap().head.next.unwrap();
        feed.fail(Fault::new(Trouble::error(status, status.into())).forever());
        let query = Query::collection(Resource::Property);
        let error = feed.client.page(&query, &Position::Link(link.clone()), 3).await.unwrap_err();
        assert!(matches!(error, Error::ContinuationRefused(_)), "{status}: {error:?}");
        assert_eq!(error.recovery(), Recovery::StartOver);
        let asked = feed.requests();
        assert_eq!(asked.len(), 3);
        assert_eq!(asked[1].param("$top"), Some("3"));
        assert_eq!(asked[2].raw_query, link.split_once('?').unwrap().1, "the second try was not verbatim");
    }
}

#[tokio::test]
async fn a_link_that_is_refused_once_goes_on() {
    let feed = Feed::of(30).await;
    let link = Position::Link(feed.client.first().await.unwrap().head.next.unwrap());
    feed.fail(Fault::new(Trouble::ExpiredToken));
    let page = feed.client.page(&Query::collection(Resource::Property), &link, 10).await.unwrap();
    assert_eq!(page.len(), 10);
    assert_eq!(feed.client.reasons(), ["link_refused"]);
}

#[tokio::test]
async fn a_slow_drip_is_cut_by_the_total_time_and_asks_for_less() {
    let feed = Feed::with(300, |settings| settings.timeouts.total = Duration::from_millis(300)).await;
    feed.fail(Fault::new(Trouble::Drip { bytes: 1, every: Duration::from_millis(5) }).forever());
    let query = Query::collection(Resource::Property);
    let error = feed.client.page(&query, &Position::Start, 100).await.unwrap_err();
    assert!(matches!(error, Error::TooSlow { .. }), "{error:?}");
    assert_eq!((error.recovery(), error.reason()), (Recovery::Shrink, "timeout"));
    assert_eq!(feed.client.reasons(), ["timeout"], "a slow page is tried twice, not more");
}

#[tokio::test]
async fn a_feed_that_says_nothing_is_given_up_in_time() {
    let feed = Feed::with(3, |settings| settings.timeouts.read = Duration::from_millis(100)).await;
    feed.fail(Fault::new(Trouble::Stall(Duration::from_mins(10))).forever());
    let error = feed.client.refusal().await;
    assert!(matches!(error, Error::TooSlow { .. }), "less of it may come, as of a window: {error:?}");
    assert_eq!(feed.client.reasons(), ["timeout"; 3], "the smallest page is given all attempts");
    let error = feed.client.fetcher.metadata(Priority::Update).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "there is no less of it: {error:?}");
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
}

#[tokio::test]
async fn a_list_of_keys_that_says_nothing_is_cut_before_it_is_given_all_attempts() {
    let feed = Feed::with(3, |settings| settings.timeouts.read = Duration::from_millis(100)).await;
    feed.fail(Fault::new(Trouble::Stall(Duration::from_mins(10))).forever());
    for (keys, attempts) in [(vec!["1", "2"], 2), (vec!["1"], 4)] {
        let asked = feed.requests().len();
        let keys: Vec<RecordKey> = keys.into_iter().map(|key| RecordKey::new(key).unwrap()).collect();
        let top = u32::try_from(keys.len()).unwrap();
        let filter = Filter::Keys(keys, KeyListForm::In);
        let query = Query { filter, count: false, ..Query::collection(Resource::Property) };
        let error = feed.client.page(&query, &Position::Start, top).await.unwrap_err();
        assert!(matches!(error, Error::TooSlow { .. }), "{error:?}");
        assert_eq!(feed.requests().len() - asked, attempts);
    }
}

#[tokio::test]
async fn a_dropped_question_is_not_in_flight_any_more() {
    let feed = Feed::of(3).await;
    feed.fail(Fault::new(Trouble::Stall(Duration::from_mins(10))));
    let stalled = feed.client.first();
    let asked = feed.simulator.journal().wait_for(|_| true, Duration::from_secs(10));
    tokio::select! {
        _ = stalled => panic!("the stall did not stall"),
        asked = asked => assert!(asked.is_some()),
    }
    feed.client.first().await.unwrap();
    assert_eq!(feed.client.seen().last().unwrap().in_flight, 0);
}
