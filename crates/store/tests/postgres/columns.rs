//! The typed columns of `mls`.

use std::collections::BTreeSet;

use spark_domain::{Relation, Resource};
use spark_store::typed_columns;

use crate::fixtures::{Bench, listing_with};
use crate::harness::Database;

/// What every table has besides.
const ALWAYS: [&str; 10] = [
    "feed",
    "key",
    "modified_at",
    "hash",
    "body",
    "first_seen_at",
    "written_at",
    "parent_resource",
    "parent_key",
    "relation",
];

#[tokio::test]
async fn the_lists_are_the_columns_of_the_tables() {
    let database = Database::migrated().await;
    let migrated: Vec<String> = database
        .ask(
            "select array_agg(c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)) \
             from pg_attribute a join pg_class c on c.oid = a.attrelid \
             where c.relnamespace = 'mls'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped",
        )
        .await;
    let is_typed = |column: &&String| {
        let name = column.split(['.', ' ']).nth(1).unwrap();
        !ALWAYS.contains(&name)
    };
    let migrated: BTreeSet<String> = migrated
        .iter()
        .filter(is_typed)
        .map(|column| column.replace("timestamp with time zone", "timestamptz"))
        .collect();
    let listed: BTreeSet<String> =
        typed_columns().into_iter().map(|(table, name, kind)| format!("{table}.{name} {kind}")).collect();
    assert_eq!(listed.symmetric_difference(&migrated).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(listed.len(), typed_columns().len(), "a column stands in a list twice");
    assert!(listed.contains("property.list_price numeric"));
}

#[tokio::test]
async fn the_native_names_fill_the_same_columns_and_the_body_keeps_them() {
    let bench = Bench::new().await;
    let native = listing_with(
        "a",
        1,
        r#""BedsTotal":"3","BathsTotal":"2.0","ListAgentId":"2019","ClosePrice@Core.Permissions":"None",
           "Media":[{"MediaKey":"m","MediaCategory":"Photo","Order":1,"UriLarge":"https://cdn.example/1","Primary":true,"Name":"Front"}]"#,
    );
    let both = listing_with("b", 1, r#""BedsTotal":3,"BedroomsTotal":4,"BathsTotal":"2.5""#);
    let outcome = bench.expanded(&[&native, &both]).await;
    assert_eq!((outcome.inserted, outcome.column_nulls), (2, 1), "half a bath is no integer");
    let rows: String = bench
        .database
        .ask(
            "select string_agg(concat_ws('|', key, bedrooms_total, bathrooms_total_integer, list_agent_key, \
             body->>'BedsTotal'), ' ' order by key) from mls.property",
        )
        .await;
    assert_eq!(rows, "a|3|2|2019|3 b|4|3");
    let media: String = bench
        .database
        .ask("select concat_ws('|', media_category, \"order\", media_url, preferred_photo_yn, short_description) from mls.media")
        .await;
    assert_eq!(media, "Photo|1|https://cdn.example/1|t|Front");
}

#[tokio::test]
async fn every_kind_of_column_is_filled() {
    let bench = Bench::new().await;
    let text = listing_with(
        "a",
        1,
        r#""City":"S\u00f8r","ListPrice":525000.50,"Latitude":"46.81","BedroomsTotal":4.0,"PoolPrivateYN":true,
           "CloseDate":"2026-02-28","StatusChangeTimestamp":"2026-02-20T16:41:12.5-06:00","Order":1"#,
    );
    let outcome = bench.listings(&[&text]).await;
    assert_eq!((outcome.inserted, outcome.column_nulls), (1, 0));
    let row: String = bench
        .database
        .ask(
            "select concat_ws('|', city, list_price, latitude, bedrooms_total, pool_private_yn, close_date, \
             status_change_timestamp at time zone 'UTC') from mls.property",
        )
        .await;
    assert_eq!(row, "Sør|525000.5|46.81|4|t|2026-02-28|2026-02-20 22:41:12.5");
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_null_counted_and_still_in_the_body() {
    let bench = Bench::new().await;
    let text = listing_with(
        "a",
        1,
        r#""ListPrice":"call","BedroomsTotal":3.5,"CloseDate":"soon","City":["x"],"YearBuilt":1e30,"MlsStatus":null"#,
    );
    let outcome = bench.listings(&[&text]).await;
    assert_eq!((outcome.inserted, outcome.rejected, outcome.column_nulls), (1, 0, 5));
    let kept: bool = bench
        .database
        .ask(
            "select list_price is null and bedrooms_total is null and close_date is null and city is null \
             and year_built is null and body @> '{\"ListPrice\":\"call\",\"BedroomsTotal\":3.5}' from mls.property",
        )
        .await;
    assert!(kept);
}

#[tokio::test]
async fn members_have_typed_columns_too() {
    let bench = Bench::new().await;
    let text = listing_with(
        "a",
        1,
        r#""Media":[{"MediaKey":"m1","Order":3,"MediaURL":"https://cdn.example/1.jpg","PreferredPhotoYN":true,"ImageWidth":"wide"}],
           "Room":[{"RoomKey":"r1","RoomType":"Kitchen","RoomLength":"14.00"}]"#,
    );
    let outcome = bench.expanded(&[&text]).await;
    assert_eq!(outcome.column_nulls, 1);
    let row: String = bench
        .database
        .ask(
            "select concat_ws('|', m.\"order\", m.media_url, m.preferred_photo_yn, r.room_type, r.room_length) \
             from mls.media m join mls.room r using (feed, parent_resource, parent_key)",
        )
        .await;
    assert_eq!(row, "3|https://cdn.example/1.jpg|t|Kitchen|14");
    let members = bench
        .store()
        .relation_members(bench.lease.feed(), Resource::Property, &crate::fixtures::key("a"), Relation::Room)
        .await
        .unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].0, "r1");
}

#[tokio::test]
async fn every_resource_and_every_relation_has_its_table() {
    let bench = Bench::new().await;
    for resource in Resource::ALL {
        let relations: Vec<String> = Relation::ALL
            .iter()
            .map(|relation| format!(r#""{relation}":[{{"Note":"{relation}"}}]"#))
            .collect();
        let text = format!(r#"{{"{}":"k",{}}}"#, resource.key_field(), relations.join(","));
        let outcome = bench
            .commit(resource, &[&text], |page| {
                page.relations = &Relation::ALL;
                page.expanded = &Relation::ALL;
            })
            .await;
        assert_eq!(outcome.inserted, 1, "{resource}");
        for relation in Relation::ALL {
            let members = bench
                .store()
                .relation_members(bench.lease.feed(), resource, &crate::fixtures::key("k"), relation)
                .await
                .unwrap();
            assert_eq!(
                members,
                [("0".to_owned(), format!(r#"{{"Note": "{relation}"}}"#))],
                "{resource} {relation}"
            );
        }
    }
    assert_eq!(bench.database.ask::<i64>("select count(*) from mls.open_house").await, 1);
}

#[tokio::test]
async fn bodies_are_compressed_by_lz4_where_the_server_has_it() {
    let database = Database::migrated().await;
    let has_lz4: bool = database
        .ask("select 'lz4' = any(enumvals) from pg_settings where name = 'default_toast_compression'")
        .await;
    let compressed: i64 = database
        .ask(
            "select count(*) from pg_attribute a join pg_class c on c.oid = a.attrelid \
             where c.relnamespace = 'mls'::regnamespace and c.relkind = 'r' and a.attname = 'body' \
             and a.attcompression = 'l'",
        )
        .await;
    assert_eq!(compressed, if has_lz4 { 10 } else { 0 });
}
