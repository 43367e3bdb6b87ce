//! Faults on demand, and what the journal says about them.

use std::time::Duration;

use spark_simulator::{ErrorShape, Fault, InTrouble, Resource, Settings, Trap, Trouble};

use crate::Feed;

#[tokio::test]
async fn a_fault_strikes_where_when_and_as_often_as_it_was_told() {
    let feed = Feed::of(30).await;
    let fault = Fault::new(Trouble::d(503, 1510)).on("Property").matching("skiptoken").nth(2).times(2);
    feed.simulator.faults().push(fault);
    assert_eq!(feed.get("Member").await.0, 200);
    let statuses = [
        feed.get("Property").await.0,
        feed.get("Property?$skiptoken=1").await.0,
        feed.get("Property?$skiptoken=2").await.0,
        feed.get("Property?$skiptoken=3").await.0,
        feed.get("Property?$skiptoken=4").await.0,
    ];
    assert_eq!(statuses, [200, 200, 503, 503, 200]);
    assert_eq!(feed.simulator.faults().pending(), 0);
    assert_eq!(feed.simulator.journal().of("Property")[2].faults, ["refuse"]);
}

#[tokio::test]
async fn refusals_come_in_both_shapes_and_with_a_hint() {
    let feed = Feed::of(1).await;
    feed.simulator.faults().push(Fault::new(Trouble::error(403, 1500)));
    assert_eq!(feed.get("Property").await.1["error"]["code"], 1500);
    feed.simulator.faults().push(Fault::new(Trouble::Refuse {
        status: 429,
        code: 1550,
        shape: ErrorShape::D,
        retry_after: Some("7".to_owned()),
    }));
    let answer = feed.request(feed.url("Property")).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "7");
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["D"]["Code"], 1550);
}

#[tokio::test]
async fn broken_deliveries_look_broken_to_a_client() {
    let feed = Feed::of(30).await;
    for (trouble, arrives) in [
        (Trouble::Reset, false),
        (Trouble::ResetWithin { after: 100 }, false),
        (Trouble::Truncate { after: 100 }, false),
        (Trouble::CutShort { after: 100 }, true),
        (Trouble::empty(), true),
        (Trouble::html(), true),
        (Trouble::Drip { bytes: 20_000, every: Duration::from_millis(1) }, true),
    ] {
        feed.simulator.faults().push(Fault::new(trouble.clone()));
        let text = match feed.request(feed.url("Property")).send().await {
            Ok(answer) => answer.text().await.ok(),
            Err(_) => None,
        };
        assert_eq!(text.is_some(), arrives, "{trouble:?}");
        let whole = text.is_some_and(|text| serde_json::from_str::<serde_json::Value>(&text).is_ok());
        assert_eq!(whole, matches!(trouble, Trouble::Drip { .. }), "{trouble:?}");
        assert_eq!(feed.get("Property").await.0, 200, "after {trouble:?}");
    }
    let statuses: Vec<_> = feed.simulator.journal().requests().iter().map(|entry| entry.status).collect();
    assert_eq!(statuses[..2], [None, Some(200)], "a reset has no status");
}

#[tokio::test]
async fn bad_links_lead_where_they_were_told() {
    let feed = Feed::of(30).await;
    let trap = Trap::start().await.unwrap();
    let link = async |trouble| {
        feed.simulator.faults().push(Fault::new(trouble));
        feed.get("Property").await.1["@odata.nextLink"].as_str().map(str::to_owned)
    };
    let foreign = link(Trouble::ForeignLink(trap.origin())).await.unwrap();
    assert!(foreign.starts_with(&trap.origin()));
    assert!(link(Trouble::RelativeLink).await.unwrap().starts_with("/Version/3/"));
    assert!(link(Trouble::RepeatedLink).await.unwrap().ends_with("/Property?"));
    assert_eq!(link(Trouble::NoLink).await, None);

    feed.request(foreign).send().await.unwrap();
    let reached = trap.journal().requests();
    assert!(reached[0].authorization.as_deref().unwrap().contains(&feed.simulator.token()));
}

#[tokio::test]
async fn an_empty_page_loses_nothing() {
    let feed = Feed::of(30).await;
    feed.simulator.faults().push(Fault::new(Trouble::EmptyPage).nth(2).times(3));
    let keys = feed.keys("Property", "ListingKey").await;
    assert_eq!(keys, feed.simulator.world().keys(Resource::Property));
    assert_eq!(feed.simulator.journal().of("Property").len(), 6);
}

#[tokio::test]
async fn a_misread_in_answers_too_much_too_little_or_not_at_all() {
    let feed = Feed::of(30).await;
    let keys = feed.simulator.world().keys(Resource::Property);
    let path = format!("Property?$top=20&$filter=ListingKey in ('{}','{}')", keys[20], keys[21]);
    for (trouble, expected) in [(InTrouble::Ignored, 20), (InTrouble::PageOfTen, 10), (InTrouble::Nothing, 0)]
    {
        feed.simulator.faults().push(Fault::new(Trouble::In(trouble)));
        assert_eq!(feed.get("Property?$top=20").await.1["value"].as_array().unwrap().len(), 20);
        assert_eq!(feed.get(&path).await.1["value"].as_array().unwrap().len(), expected, "{trouble:?}");
    }
    feed.simulator.faults().push(Fault::new(Trouble::In(InTrouble::Refused)));
    assert_eq!(feed.get(&path).await.0, 400);
    assert_eq!(feed.get(&path).await.1["value"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_unsorted_server_is_walked_by_its_key_only() {
    let feed = Feed::of(60).await;
    feed.simulator.faults().push(Fault::new(Trouble::Unsorted).on("Property").forever());
    let keys = feed.keys("Property?$top=25", "ListingKey").await;
    assert!(!keys.is_sorted() && keys.len() == 60);
    assert!(feed.simulator.journal().requests()[1].param("$skip").is_some());
    let after = feed.simulator.world().keys(Resource::Property)[49].clone();
    let path = format!("Property?$orderby=ListingKey&$filter=ListingKey gt '{after}'");
    assert_eq!(feed.keys(&path, "ListingKey").await, feed.simulator.world().keys(Resource::Property)[50..]);
}

#[tokio::test]
async fn what_means_the_same_may_look_different() {
    let feed = Feed::of(3).await;
    let url = || feed.url("Property?$expand=Media");
    let plain = feed.request(url()).send().await.unwrap().text().await.unwrap();
    for trouble in
        [Trouble::ShuffledMembers, Trouble::IntegersAsFloats, Trouble::OtherHost("https://x.test".into())]
    {
        feed.simulator.faults().push(Fault::new(trouble.clone()));
        let text = feed.request(url()).send().await.unwrap().text().await.unwrap();
        assert_ne!(text, plain, "{trouble:?}");
        if trouble == Trouble::ShuffledMembers {
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&text), value(&plain));
        }
    }
    feed.simulator.faults().push(Fault::new(Trouble::NoExpansion("Media")));
    assert!(feed.get("Property?$expand=Media,Room").await.1["value"][0].get("Media").is_none());
    feed.simulator.faults().push(Fault::new(Trouble::EmptyExpansion("Media")));
    assert_eq!(feed.get("Property?$expand=Media").await.1["value"][0]["Media"], serde_json::json!([]));
    feed.simulator.faults().push(Fault::new(Trouble::PartialExpansion("Media")));
    assert!(feed.get("Property?$expand=Media").await.1["value"][0]["Media@odata.nextLink"].is_string());
    feed.simulator.faults().push(Fault::new(Trouble::CountOff(-2)));
    assert_eq!(feed.get("Property?$count=true").await.1["@odata.count"], 1);
    feed.simulator.faults().push(Fault::new(Trouble::TooSlowAbove(100)).forever());
    assert_eq!(feed.get("Property?$top=100").await.0, 200);
    assert_eq!(feed.get("Property?$top=101").await.1["D"]["Code"], 1515);
}

#[tokio::test]
async fn the_journal_waits_for_a_request_and_counts_the_rate() {
    let rate_limit = Some((3, Duration::from_mins(1)));
    let feed = Feed::with(Settings { rate_limit, ..Settings::default() }).await;
    let journal = feed.simulator.journal().clone();
    let seen = tokio::spawn(async move {
        journal.wait_for(|entry| entry.key.as_deref() == Some("7"), Duration::from_secs(20)).await
    });
    let statuses = [feed.get("Office").await.0, feed.get("Property('7')").await.0, feed.get("Teams").await.0];
    assert_eq!(statuses, [200, 404, 200]);
    assert_eq!(feed.get("Office").await.0, 429);
    assert_eq!(seen.await.unwrap().unwrap().resource.as_deref(), Some("Property"));
    assert_eq!(feed.simulator.journal().most_in_any(Duration::from_mins(1)), 4);
}
