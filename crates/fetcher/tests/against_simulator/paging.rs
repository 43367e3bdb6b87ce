//! Pages and links.

use spark_domain::job::Priority;
use spark_domain::walk::{Paging, Position};
use spark_domain::{KeyListForm, Query, Relation, Resource, Timestamp, Walk};
use spark_fetcher::PageRequest;
use spark_simulator::{Fault, Trouble};

use crate::{Feed, keys, listing_keys};

/// Walks to the end; the keys in the order given.
async fn walk(feed: &Feed, query: &Query, paging: Paging, top: u32) -> Vec<String> {
    let mut walk = Walk::begin(Timestamp::default(), None, top);
    let mut all = Vec::new();
    while let Some(position) = walk.next().cloned() {
        let request = PageRequest { query, position: &position, paging, top };
        let page = feed.client.fetcher.page(&request, Priority::Bulk).await.unwrap();
        let found = listing_keys(&page);
        let keys: Vec<_> = found.iter().map(|key| spark_domain::RecordKey::new(key).unwrap()).collect();
        walk = walk.arrived(&page.head, &keys.iter().collect::<Vec<_>>(), paging).unwrap();
        all.extend(found);
    }
    all
}

#[tokio::test]
async fn a_walk_ends_at_the_page_without_a_link_and_has_seen_every_key() {
    let feed = Feed::of(95).await;
    let query = Query::key_list(Resource::Property);
    let found = walk(&feed, &query, Paging::NextLink, 20).await;
    assert_eq!(found, feed.simulator.world().keys(spark_simulator::Resource::Property));
    assert_eq!(feed.requests().len(), 5);
}

#[tokio::test]
async fn the_first_page_says_the_count_and_no_later_one_asks_for_it_anew() {
    let feed = Feed::of(30).await;
    let page = feed.client.first().await.unwrap();
    assert_eq!((page.head.count, page.head.top, page.len()), (Some(30), 10, 10));
    assert_eq!(feed.requests()[0].raw_query, "$top=10&$count=true");
}

#[tokio::test]
async fn a_link_is_followed_verbatim() {
    let feed = Feed::of(30).await;
    let query = Query::collection(Resource::Property);
    let link = feed.client.first().await.unwrap().head.next.unwrap();
    assert!(link.contains("%24skiptoken"), "{link}");
    feed.client.page(&query, &Position::Link(link.clone()), 10).await.unwrap();
    assert_eq!(feed.requests()[1].raw_query, link.split_once('?').unwrap().1);
}

#[tokio::test]
async fn a_smaller_page_changes_the_size_in_the_link_and_nothing_else() {
    let feed = Feed::of(30).await;
    let query = Query::collection(Resource::Property);
    let link = feed.client.first().await.unwrap().head.next.unwrap();
    let page = feed.client.page(&query, &Position::Link(link.clone()), 3).await.unwrap();
    assert_eq!((page.len(), page.head.top), (3, 3));
    let wanted = link.replace("%24top=10", "%24top=3");
    assert_eq!(feed.requests()[1].raw_query, wanted.split_once('?').unwrap().1);
}

#[tokio::test]
async fn a_relative_link_is_made_absolute_and_works() {
    let feed = Feed::of(30).await;
    feed.fail(Fault::new(Trouble::RelativeLink));
    let link = feed.client.first().await.unwrap().head.next.unwrap();
    assert!(link.starts_with(&feed.simulator.base_url()), "{link}");
    let query = Query::collection(Resource::Property);
    assert_eq!(feed.client.page(&query, &Position::Link(link), 10).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_feed_without_order_is_paged_by_key() {
    let feed = Feed::of(45).await;
    feed.fail(Fault::new(Trouble::Unsorted).forever());
    let found = walk(&feed, &Query::key_list(Resource::Property), Paging::Key, 20).await;
    assert_eq!(found, feed.simulator.world().keys(spark_simulator::Resource::Property));
    assert!(feed.requests().iter().all(|request| request.param("$orderby") == Some("ListingKey")));
}

#[tokio::test]
async fn an_update_asks_in_the_guides_form_with_encoded_spaces() {
    let feed = Feed::of(30).await;
    let now = feed.simulator.clock().now();
    let edited = feed.simulator.world().keys(spark_simulator::Resource::Property)[7].clone();
    assert!(feed.simulator.world().set_price(&edited, 123_456.0));
    let query =
        Query::modified(Resource::Property, now - chrono::TimeDelta::seconds(2), None, vec![Relation::Room]);
    let page = feed.client.page(&query, &Position::Start, 100).await.unwrap();
    assert!(listing_keys(&page).contains(&edited), "the edit is missing");
    let asked = &feed.requests()[0];
    assert!(asked.raw_query.contains("$filter=ModificationTimestamp%20gt%20"), "{}", asked.raw_query);
    assert!(!asked.raw_query.contains('+') && asked.param("$count").is_none());
    assert_eq!(asked.param("$expand"), Some("Room"));
}

#[tokio::test]
async fn keys_are_asked_for_in_each_form() {
    let feed = Feed::of(30).await;
    let all = feed.simulator.world().keys(spark_simulator::Resource::Property);
    let wanted = [all[3].as_str(), all[4].as_str()];
    for form in [KeyListForm::In, KeyListForm::EqOr] {
        let page = feed.client.page(&keys(&wanted, form), &Position::Start, 2).await.unwrap();
        assert_eq!(listing_keys(&page), wanted, "{form:?}");
    }
    let page = feed.client.page(&keys(&wanted[..1], KeyListForm::Single), &Position::Start, 1).await.unwrap();
    assert_eq!(listing_keys(&page), wanted[..1]);
}

#[tokio::test]
async fn a_record_that_is_not_there_is_an_empty_page() {
    let feed = Feed::of(5).await;
    let page =
        feed.client.page(&keys(&["O'Nowhere/1"], KeyListForm::Single), &Position::Start, 1).await.unwrap();
    assert!(page.is_empty() && page.head.next.is_none());
    assert_eq!(feed.requests()[0].key.as_deref(), Some("O'Nowhere/1"));
    let seen = feed.client.seen();
    assert_eq!((seen.len(), seen[0].status), (1, Some(404)), "a missing record is no reason to ask again");
}

#[tokio::test]
async fn the_feeds_filter_goes_along_with_every_question() {
    let feed = Feed::with(60, |settings| settings.filter = "StandardStatus eq 'Active'".to_owned()).await;
    let all = feed.simulator.world().truth(spark_simulator::Resource::Property);
    let (active, others): (Vec<_>, Vec<_>) =
        all.iter().partition(|(_, body)| body["StandardStatus"] == "Active");
    let page = feed.client.page(&Query::key_list(Resource::Property), &Position::Start, 1000).await.unwrap();
    assert_eq!(page.head.count, u64::try_from(active.len()).ok());
    for form in [KeyListForm::In, KeyListForm::EqOr, KeyListForm::Single] {
        let of = |key: &str| keys(&[key], form);
        let shown = feed.client.page(&of(&active[0].0), &Position::Start, 1).await.unwrap();
        assert_eq!(shown.len(), 1, "{form:?}");
        let hidden = feed.client.page(&of(&others[0].0), &Position::Start, 1).await.unwrap();
        assert!(hidden.is_empty(), "{form:?} showed a record beyond the filter");
    }
}

#[tokio::test]
async fn metadata_says_what_the_key_may_ask_for() {
    let feed = Feed::of(3).await;
    let metadata = feed.client.fetcher.metadata(Priority::Update).await.unwrap();
    assert!(
        Resource::ALL.iter().all(|resource| metadata.entity_sets.iter().any(|set| set == resource.as_str()))
    );
    let property = metadata.entity_types.iter().find(|type_| type_.name == "Property").unwrap();
    assert!(property.navigation.iter().any(|name| name == "Media"));
    assert!(
        property.properties.iter().any(|field| field.name == "ListPrice" && field.type_ == "Edm.Decimal")
    );
    assert_eq!(feed.client.seen()[0].endpoint, "metadata");
}

#[tokio::test]
async fn a_page_says_when_the_feed_looked() {
    let feed = Feed::of(3).await;
    feed.simulator.clock().run_at(0.0);
    let now = feed.simulator.clock().now();
    let as_of = feed.client.first().await.unwrap().head.as_of.unwrap();
    assert!(as_of <= now && now - as_of < chrono::TimeDelta::seconds(10), "{as_of} is not about {now}");
    assert_eq!(as_of.timestamp_subsec_nanos(), 0);
}

#[tokio::test]
async fn the_moment_of_a_page_is_that_of_its_first_attempt() {
    let feed = Feed::with(3, |settings| {
        settings.retry.sync_wait = std::time::Duration::from_millis(1_500);
        settings.retry.sync_patience = std::time::Duration::from_mins(1);
    })
    .await;
    feed.fail(Fault::new(Trouble::d(503, 1024)));
    feed.simulator.clock().run_at(0.0);
    let now = feed.simulator.clock().now();
    let page = feed.client.first().await.unwrap();
    assert!(page.head.as_of.unwrap() < now - chrono::TimeDelta::milliseconds(1_500));
    assert!(page.head.unsynced, "the page hides that the feed was not in sync");
}
