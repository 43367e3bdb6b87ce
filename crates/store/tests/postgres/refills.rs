//! Typed columns and hashes after an upgrade.

use spark_domain::Resource;

use crate::fixtures::{Bench, listing_with};

const OLD: &str =
    "update replicator.resource set columns_version = 0, hash_recipe = 1 where resource = 'Property'";

async fn refill(bench: &Bench, batch: u32) -> u32 {
    let mut calls = 1;
    while bench.store().refill_columns(&bench.lease, Resource::Property, batch).await.unwrap() {
        calls += 1;
        assert!(calls < 100, "a refill does not end");
    }
    calls
}

#[tokio::test]
async fn a_refill_fills_old_rows_without_touching_when_they_were_written() {
    let bench = Bench::new().await;
    let texts: Vec<String> = (0..7)
        .map(|n| {
            let more = format!(
                r#""City":"C{n}","ListPrice":{n}.50,"Media":[{{"MediaKey":"m{n}","Order":{n}}}],"Room":[{{"RoomKey":"r","RoomLength":"{n}.5"}}]"#
            );
            listing_with(&format!("k{n}"), 1, &more)
        })
        .collect();
    bench.expanded(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    refill(&bench, 100).await;
    let all = "select md5(string_agg(p::text, ',' order by p.key) || \
               (select string_agg(m::text, ',' order by parent_key) from mls.media m) || \
               (select string_agg(r::text, ',' order by parent_key) from mls.room r)) from mls.property p";
    let before: String = bench.database.ask(all).await;

    // As an older version would have left it: one row is filled already.
    bench.database.run(OLD).await;
    bench.database.run("update mls.property set city = null, list_price = null where key <> 'k3'").await;
    bench.database.run("update mls.media set \"order\" = null; update mls.room set room_length = null").await;
    let whole: String = bench.database.ask("select ctid::text from mls.property where key = 'k3'").await;
    let calls = refill(&bench, 3).await;
    assert!(calls > 3, "{calls} batches of 3 rows");
    assert_eq!(bench.database.ask::<String>(all).await, before);
    let untouched: String = bench.database.ask("select ctid::text from mls.property where key = 'k3'").await;
    assert_eq!(untouched, whole, "a row that was full was written");
    assert_eq!(refill(&bench, 3).await, 1);
}

#[tokio::test]
async fn a_new_recipe_hashes_what_is_stored_and_writes_no_change() {
    let bench = Bench::new().await;
    let text = listing_with(
        "a",
        1,
        r#""Media":[{"MediaKey":"m","Order":1}],"Room":[],"SocialMedia":[{"Type":"x"}]"#,
    );
    let commit = |bench: &Bench| {
        let text = text.clone();
        let (store, lease, run) = (bench.store().clone(), bench.lease.clone(), bench.run);
        async move {
            let shape = crate::fixtures::shape(Resource::Property);
            let texts = [text.as_str()];
            let (records, rejected) = crate::fixtures::read(&texts, &shape);
            let relations = [spark_domain::Relation::Media, spark_domain::Relation::SocialMedia];
            let page = spark_store::PageCommit {
                run,
                resource: Resource::Property,
                job: spark_domain::Job::Update,
                shape: &shape,
                records: &records,
                rejected: &rejected,
                relations: &relations,
                expanded: &relations,
                mark_relations: true,
                confirmed: &spark_store::Confirmed::new(),
                cache_window: crate::fixtures::CACHE_WINDOW,
                stage_keys: None,
                checkpoint: None,
                finish: None,
            };
            store.commit_page(&lease, &page).await.unwrap()
        }
    };
    commit(&bench).await;
    bench.database.run(OLD).await;
    // The hashes of another recipe.
    for table in ["property", "media", "relation"] {
        bench.database.run(&format!("update mls.{table} set hash = decode(repeat('55', 16), 'hex')")).await;
    }
    refill(&bench, 10).await;
    let before: String = bench.database.ask("select (select ctid::text from mls.property) || (select ctid::text from mls.media) || (select ctid::text from mls.relation)").await;
    let outcome = commit(&bench).await;
    assert_eq!(outcome.unchanged, 1);
    let after: String = bench.database.ask("select (select ctid::text from mls.property) || (select ctid::text from mls.media) || (select ctid::text from mls.relation)").await;
    assert_eq!(before, after);
}
