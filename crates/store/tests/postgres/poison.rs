//! Records that Postgres refuses: they are put away, and their pages land (P9).

use spark_domain::Resource;
use spark_store::{Quarantined, Store};

use crate::fixtures::{Bench, key, listing, listing_with};

async fn away(bench: &Bench) -> Vec<Quarantined> {
    let store: &Store = bench.store();
    store.quarantine(bench.lease.feed(), 100).await.unwrap()
}

#[tokio::test]
async fn poison_is_quarantined_and_the_rest_of_its_page_lands() {
    let bench = Bench::new().await;
    let mut texts: Vec<String> = (0..60).map(|n| listing(&format!("k{n:02}"), 1, "100")).collect();
    // No `jsonb` holds this number; the typed column is not even reached.
    texts[17] = listing_with("k17", 1, r#""Odd":1e200000"#);
    texts[18] = listing_with("k18", 1, r#""Odd":1e200000"#);
    texts[59] = listing_with("k59", 1, r#""Odd":-1e200000"#);
    let page: Vec<&str> = texts.iter().map(String::as_str).collect();
    let outcome = bench.listings(&page).await;
    assert_eq!((outcome.inserted, outcome.rejected), (57, 3));
    assert_eq!(bench.database.ask::<i64>("select count(*) from mls.property").await, 57);

    let away = away(&bench).await;
    let mut keys: Vec<&str> =
        away.iter().filter_map(|each| each.key.as_ref()).map(spark_domain::RecordKey::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["k17", "k18", "k59"]);
    assert_eq!(away[0].reason, "refused_by_postgres");
    assert!(away[0].message.contains("SQLSTATE 22"), "{}", away[0].message);
    assert_eq!(bench.store().quarantine_counts(bench.lease.feed()).await.unwrap(), [(Resource::Property, 3)]);
}

#[tokio::test]
async fn a_record_that_a_users_index_refuses_is_quarantined_too() {
    let bench = Bench::new().await;
    bench.database.run("create index on mls.property (public_remarks)").await;
    // Text that does not compress: the index cannot hold it (54000).
    let mut state = 7_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from_digit(10 + u32::try_from(state >> 40).unwrap() % 26, 36).unwrap()
    };
    let noise: String = (0..9000).map(letter).collect();
    let poison = listing_with("a", 1, &format!(r#""PublicRemarks":"{noise}""#));
    let outcome = bench.listings(&[&poison, &listing("b", 1, "1")]).await;
    assert_eq!((outcome.inserted, outcome.rejected), (1, 1));
    assert!(away(&bench).await[0].message.contains("SQLSTATE 54000"));
}

#[tokio::test]
async fn a_record_that_lands_again_leaves_quarantine() {
    let bench = Bench::new().await;
    let poison = listing_with("a", 1, r#""Odd":1e200000"#);
    bench.listings(&[&poison]).await;
    bench.listings(&[&poison]).await;
    let refused = away(&bench).await;
    assert_eq!((refused.len(), refused[0].times), (1, 2));
    bench.listings(&[&listing("a", 2, "1")]).await;
    assert_eq!(away(&bench).await, []);
    assert!(bench.store().record(bench.lease.feed(), Resource::Property, &key("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn an_unreadable_record_is_quarantined_even_without_a_key() {
    let bench = Bench::new().await;
    let outcome =
        bench.listings(&[r#"{"ListPrice":1}"#, r#"{"ListPrice":2}"#, "7", &listing("b", 1, "1")]).await;
    assert_eq!((outcome.inserted, outcome.rejected), (1, 3));
    let mut reasons: Vec<String> = away(&bench).await.into_iter().map(|each| each.reason).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["no_key", "no_key", "not_an_object"]);
}

#[tokio::test]
async fn a_poisoned_change_leaves_the_copy_that_we_hold() {
    let bench = Bench::new().await;
    bench.listings(&[&listing("a", 1, "100")]).await;
    let outcome = bench.listings(&[&listing_with("a", 2, r#""Odd":1e200000"#)]).await;
    assert_eq!((outcome.updated, outcome.rejected), (0, 1));
    let price: String = bench.database.ask("select list_price::text from mls.property").await;
    assert_eq!(price, "100");
}
