//! Pages of records: what is written, and what is not.

use spark_domain::{Checkpoint, Job, Resource};
use spark_store::{Confirmed, Finish, PageOutcome};

use crate::fixtures::{Bench, hash_of, key, listing};

const PLACES: &str = "select string_agg(ctid::text || ' ' || xmin::text || ' ' || xmax::text, ',' order by key) from mls.property";

#[tokio::test]
async fn an_unchanged_page_leaves_no_trace_in_mls() {
    let bench = Bench::new().await;
    let texts = [listing("a", 1, "100"), listing("b", 1, "200")];
    let page: Vec<&str> = texts.iter().map(String::as_str).collect();
    let first = bench.listings(&page).await;
    assert_eq!((first.inserted, first.updated, first.unchanged), (2, 0, 0));
    let before: String = bench.database.ask(PLACES).await;

    // The same content in another spelling: members in another order, a number with an exponent.
    let same = r#"{"City":"Fernhollow","ListPrice":1.0e2,"ModificationTimestamp":"2026-03-01T12:01:00Z","ListingKey":"a"}"#;
    let again = bench.listings(&[same, page[1]]).await;
    assert_eq!((again.inserted, again.updated, again.unchanged), (0, 0, 2));
    assert!(again.delays.is_empty());
    let after: String = bench.database.ask(PLACES).await;
    assert_eq!(before, after, "a row was locked or written");
}

#[tokio::test]
async fn a_changed_record_is_written_and_remembers_when_it_first_came() {
    let bench = Bench::new().await;
    bench.listings(&[&listing("a", 1, "100")]).await;
    let first =
        bench.store().record(bench.lease.feed(), Resource::Property, &key("a")).await.unwrap().unwrap();
    let outcome = bench.listings(&[&listing("a", 2, "110")]).await;
    assert_eq!((outcome.updated, outcome.delays.len()), (1, 1));
    assert!(outcome.delays[0] > 0.0);
    let second =
        bench.store().record(bench.lease.feed(), Resource::Property, &key("a")).await.unwrap().unwrap();
    assert_eq!(first.first_seen_at, second.first_seen_at);
    assert!(second.written_at > first.written_at);
    assert!(second.body.contains("110"), "{}", second.body);
    assert_eq!(outcome.watermark, second.modified_at);
}

#[tokio::test]
async fn an_older_copy_does_not_replace_a_newer_one_but_is_looked_at_again() {
    let bench = Bench::new().await;
    bench.listings(&[&listing("a", 5, "100")]).await;
    let outcome = bench.listings(&[&listing("a", 4, "90")]).await;
    assert_eq!((outcome.older, outcome.updated), (1, 0));
    let price: String = bench.database.ask("select list_price::text from mls.property").await;
    assert_eq!(price, "100");
    let order: String = bench
        .database
        .ask("select reason || ' ' || (due_at > clock_timestamp() + interval '19 minutes')::text from replicator.reread")
        .await;
    assert_eq!(order, "rewind true");
}

#[tokio::test]
async fn a_rewind_that_was_confirmed_by_key_replaces_the_newer_copy() {
    let bench = Bench::new().await;
    let ours = listing("a", 5, "100");
    bench.listings(&[&ours, &listing("b", 5, "100")]).await;
    let confirmed = Confirmed::from([(key("a"), Some(hash_of(&ours, Resource::Property)))]);
    let outcome = confirm(&bench, &[&listing("a", 4, "90"), &listing("b", 4, "90")], confirmed).await;
    assert_eq!((outcome.updated, outcome.older), (1, 1));
    assert_eq!(prices(&bench).await, "90 100");
}

#[tokio::test]
async fn a_copy_that_came_since_is_not_replaced_on_the_word_of_a_reading_before_it() {
    let bench = Bench::new().await;
    let ours = listing("a", 5, "100");
    bench.listings(&[&ours]).await;
    let confirmed = Confirmed::from([
        (key("a"), Some(hash_of(&ours, Resource::Property))),
        // Nothing was held of it when it was read.
        (key("b"), None),
    ]);
    bench.listings(&[&listing("a", 6, "110"), &listing("b", 6, "110")]).await;
    let outcome = confirm(&bench, &[&listing("a", 4, "90"), &listing("b", 4, "90")], confirmed).await;
    assert_eq!((outcome.updated, outcome.older), (0, 2));
    assert_eq!(prices(&bench).await, "110 110");
}

async fn confirm(bench: &Bench, texts: &[&str], confirmed: Confirmed) -> PageOutcome {
    let confirmed: &Confirmed = Box::leak(Box::new(confirmed));
    bench.commit(Resource::Property, texts, |page| page.confirmed = confirmed).await
}

async fn prices(bench: &Bench) -> String {
    bench.database.ask("select string_agg(list_price::text, ' ' order by key) from mls.property").await
}

#[tokio::test]
async fn of_a_key_that_stands_twice_on_a_page_the_newest_copy_counts() {
    let bench = Bench::new().await;
    let outcome = bench
        .listings(&[
            &listing("a", 2, "2"),
            &listing("a", 3, "3"),
            &listing("a", 1, "1"),
            &listing("b", 1, "7"),
        ])
        .await;
    assert_eq!((outcome.inserted, outcome.rejected), (2, 0));
    let prices: String =
        bench.database.ask("select string_agg(list_price::text, ' ' order by key) from mls.property").await;
    assert_eq!(prices, "3 7");
}

#[tokio::test]
async fn a_page_commits_with_its_checkpoint_its_progress_and_the_end_of_its_pass() {
    let bench = Bench::new().await;
    let stamp = "2026-03-01T12:30:00Z".parse().unwrap();
    let checkpoint = Checkpoint { cursor: Some(stamp), ..Checkpoint::default() };
    bench.listings(&[&listing("a", 1, "1")]).await;
    bench
        .commit(Resource::Property, &[&listing("b", 9, "2")], |page| {
            page.checkpoint = Some(Box::leak(Box::new(checkpoint.clone())));
            page.finish = Some(Finish { complete_through: Some(stamp), initial_download_completed: true });
        })
        .await;
    let feed = bench.lease.feed();
    let kept = bench.store().checkpoint(feed, Resource::Property, Job::Update).await.unwrap();
    assert_eq!(kept, checkpoint);
    let states = bench.store().resources(feed).await.unwrap();
    let state = states.iter().find(|state| state.resource == Resource::Property).unwrap();
    assert_eq!(state.complete_through_at, Some(stamp));
    assert!(state.last_success_at.is_some() && state.initial_download_completed_at.is_some());
    assert_eq!(state.watermark_at, Some("2026-03-01T12:09:00Z".parse().unwrap()));
    let runs = bench.store().recent_runs(Some(feed), 1).await.unwrap();
    assert_eq!((runs[0].totals.pages, runs[0].totals.inserted), (2, 2));
    let rows = bench.store().row_estimates().await.unwrap();
    assert!(rows.contains(&(feed.clone(), Resource::Property, 2)), "{rows:?}");
}

#[tokio::test]
async fn a_page_of_a_lost_lease_writes_nothing() {
    let bench = Bench::new().await;
    bench.database.run("update replicator.lease set epoch = epoch + 1").await;
    let shape = crate::fixtures::shape(Resource::Property);
    let text = listing("a", 1, "1");
    let (records, rejected) = crate::fixtures::read(&[&text], &shape);
    let page = spark_store::PageCommit {
        run: bench.run,
        resource: Resource::Property,
        job: Job::Update,
        shape: &shape,
        records: &records,
        rejected: &rejected,
        relations: &[],
        expanded: &[],
        mark_relations: true,
        confirmed: &Confirmed::new(),
        cache_window: crate::fixtures::CACHE_WINDOW,
        stage_keys: None,
        checkpoint: None,
        finish: None,
    };
    let refused = bench.store().commit_page(&bench.lease, &page).await;
    assert!(refused.is_err_and(|error| error.is_lease_lost()));
    assert_eq!(bench.database.ask::<i64>("select count(*) from mls.property").await, 0);
}

#[tokio::test]
async fn writers_of_one_resource_take_turns_and_never_wait_for_each_other_crosswise() {
    let bench = Bench::new().await;
    let ascending: Vec<String> = (10..60).map(|n| listing(&format!("k{n}"), 1, "1")).collect();
    let descending: Vec<String> = (10..60).rev().map(|n| listing(&format!("k{n}"), 2, "2")).collect();
    let (up, down): (Vec<&str>, Vec<&str>) =
        (ascending.iter().map(String::as_str).collect(), descending.iter().map(String::as_str).collect());
    let outcomes =
        tokio::join!(bench.expanded(&up), bench.expanded(&down), bench.listings(&up), bench.listings(&down),);
    let outcomes = [outcomes.0, outcomes.1, outcomes.2, outcomes.3];
    assert_eq!(outcomes.iter().map(|outcome| outcome.inserted).sum::<u64>(), 50);
    let newest: i64 = bench.database.ask("select count(*) from mls.property where list_price = 2").await;
    assert_eq!(newest, 50);
    let rows = bench.store().row_estimates().await.unwrap();
    assert!(rows.contains(&(bench.lease.feed().clone(), Resource::Property, 50)), "{rows:?}");
}

#[tokio::test]
async fn what_is_stored_can_be_asked_for() {
    let bench = Bench::new().await;
    bench.listings(&[&listing("a", 1, "1"), &listing("b", 2, "1")]).await;
    let stored =
        bench.store().stored(bench.lease.feed(), Resource::Property, &[key("b"), key("x")]).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!((&stored[0].0, stored[0].1.modified_at), (&key("b"), "2026-03-01T12:02:00Z".parse().ok()));
}
