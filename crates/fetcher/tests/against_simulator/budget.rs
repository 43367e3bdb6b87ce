//! Slots and shares at the fetcher's own hands.

use std::sync::Arc;
use std::time::Duration;

use spark_domain::Recovery;
use spark_domain::job::Priority;
use spark_domain::walk::{Paging, Position};
use spark_domain::{Query, Resource};
use spark_fetcher::{Allowance, Error, Fetcher, Pacer, PageRequest};
use spark_simulator::{Fault, Trouble};
use tokio::time::{Instant, timeout};

use crate::{Client, Feed, settings};

#[tokio::test]
async fn every_attempt_takes_a_slot_also_a_retry() {
    let feed = Feed::of(3).await;
    let (pacer, control) = Pacer::new();
    let settings = settings(&feed.simulator.base_url(), &feed.simulator.token());
    let fetcher = Fetcher::new(settings, pacer, Allowance::new(48_000_000), Arc::new(|_| {})).unwrap();
    feed.fail(Fault::new(Trouble::error(503, 503)).times(2));
    control.grant(Instant::now(), Duration::ZERO, 2);
    let query = Query::collection(Resource::Property);
    let request =
        PageRequest { query: &query, position: &Position::Start, paging: Paging::NextLink, top: 10 };
    let page = fetcher.page(&request, Priority::Update);
    tokio::pin!(page);
    tokio::select! {
        page = &mut page => panic!("three attempts were made with two slots: {page:?}"),
        wanted = async {
            feed.simulator.journal().wait_for(|entry| entry.number == 1, Duration::from_secs(10)).await.unwrap();
            control.wanted().await
        } => assert_eq!(wanted, 1),
    }
    assert_eq!(feed.requests().len(), 2);
    control.grant(Instant::now(), Duration::ZERO, 1);
    assert_eq!(page.await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_429_silences_the_key_and_is_told_to_the_keeper() {
    let feed = Feed::of(3).await;
    feed.fail(Fault::new(Trouble::throttle(None)));
    let start = Instant::now();
    feed.client.first().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(60), "the silence was broken");
    assert_eq!(feed.client.reasons(), ["http_429"]);
    assert_eq!(*feed.client.silences.lock().unwrap(), [Duration::from_millis(60)]);
}

#[tokio::test]
async fn a_429_that_names_a_time_is_believed() {
    let feed = Feed::of(3).await;
    feed.fail(Fault::new(Trouble::throttle(Some("1"))));
    let start = Instant::now();
    feed.client.first().await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(*feed.client.silences.lock().unwrap(), [Duration::from_secs(1)]);

    feed.fail(Fault::new(Trouble::throttle(Some("3600"))));
    let error = feed.client.refusal().await;
    assert!(matches!(error, Error::Throttled { .. }), "{error:?}");
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(Duration::from_hours(1)) });
}

#[tokio::test]
async fn a_page_holds_its_share_until_it_is_dropped() {
    let feed = Feed::of(300).await;
    let mut settings = settings(&feed.simulator.base_url(), &feed.simulator.token());
    settings.page_bytes = 1_000_000;
    let client = Client::sharing(settings, Allowance::new(1_000_000));
    let page = client.first().await.unwrap();
    assert!(
        timeout(Duration::from_millis(300), client.first()).await.is_err(),
        "one share was given out twice"
    );
    drop(page);
    assert!(timeout(Duration::from_secs(10), client.first()).await.is_ok(), "a dropped page kept its share");
}

#[tokio::test]
async fn a_page_larger_than_the_whole_allowance_arrives() {
    let feed = Feed::of(60).await;
    let mut settings = settings(&feed.simulator.base_url(), &feed.simulator.token());
    settings.page_bytes = 1_000_000;
    let client = Client::sharing(settings, Allowance::new(65_536));
    let query = Query::collection(Resource::Property);
    let page =
        timeout(Duration::from_secs(30), client.page(&query, &Position::Start, 60)).await.unwrap().unwrap();
    assert!(page.len() == 60 && page.head.bytes > 65_536, "{page:?}");
}

#[tokio::test]
async fn a_feed_that_waits_for_the_sync_holds_no_memory() {
    let slow = Feed::with(3, |settings| settings.retry.sync_wait = Duration::from_millis(100)).await;
    let mut waiting = settings(&slow.simulator.base_url(), &slow.simulator.token());
    waiting.retry.sync_wait = Duration::from_mins(5);
    waiting.retry.sync_patience = Duration::from_mins(10);
    let allowance = Allowance::new(8_000_000);
    let (one, other) =
        (Client::sharing(waiting.clone(), allowance.clone()), Client::sharing(waiting, allowance));
    slow.fail(Fault::new(Trouble::d(503, 1024)));
    let stuck = one.first();
    tokio::pin!(stuck);
    tokio::select! {
        page = &mut stuck => panic!("it did not wait: {page:?}"),
        page = async {
            let served = |entry: &spark_simulator::Entry| entry.status == Some(503);
            slow.simulator.journal().wait_for(served, Duration::from_secs(10)).await.unwrap();
            timeout(Duration::from_secs(10), other.first()).await
        } => assert_eq!(page.unwrap().unwrap().len(), 3),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clones_of_a_fetcher_ask_side_by_side() {
    let feed = Feed::of(40).await;
    let mut tasks = tokio::task::JoinSet::new();
    for resource in Resource::ALL {
        let fetcher = feed.client.fetcher.clone();
        tasks.spawn(async move {
            let (query, position) = (Query::collection(resource), Position::Start);
            let request =
                PageRequest { query: &query, position: &position, paging: Paging::NextLink, top: 5 };
            fetcher.page(&request, Priority::Bulk).await.unwrap().len()
        });
    }
    assert!(tasks.join_all().await.into_iter().all(|records| records > 0));
    assert_eq!(feed.client.seen().iter().map(|seen| seen.in_flight).min(), Some(0));
}
