//! Texts that would mean something to SQL, to a shell of it or to a terminal arrive in rows as they were sent.

use serde_json::{Value, json};
use spark_simulator::{Fault, Trouble};
use sqlx::{Connection, PgConnection};

use super::stage::Stage;

/// What people and programs have called things. A NUL is the one character that Postgres cannot hold: U+FFFD
/// stands in its place.
const STRANGE: [&str; 12] = [
    "'; drop table mls.property; --",
    "\"quoted\" and 'quoted'",
    "back\\slash \\' \\\\",
    "$1 $2 $$ $tag$ %s {} {0}",
    "a\u{0}b",
    "\u{202e}thgir ot tfel\u{202c} \u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "\u{1f3e0}\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{10ffff}",
    "line\nbreak\r\n\ttab \u{1b}[31mred",
    "NULL",
    "\\N",
    "{\"a\":[1,2]}",
    "%27%3B%00",
];

fn as_stored(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_keys_names_and_values_arrive_unharmed() {
    let stage = Stage::new("strange", 5).await;
    let records: Vec<Value> = STRANGE
        .iter()
        .enumerate()
        .map(|(at, text)| {
            // A key cannot hold a NUL; all else can be one.
            let key = format!("{at} {}", text.replace('\0', ""));
            json!({
                "ListingKey": key, "City": text, "PublicRemarks": text, *text: text,
                "ModificationTimestamp": "2026-11-01T00:00:00Z",
                "Media": [{ "MediaKey": key, "MediaURL": text, "ShortDescription": text }],
            })
        })
        .collect();
    let body = json!({ "@odata.count": records.len(), "value": records }).to_string();
    let answer = Trouble::Answer { status: 200, content_type: "application/json", body };
    stage.simulator.faults().push(Fault::new(answer).on("Property"));
    let done = stage.run(&["once", "initial_download", "--resource", "Property"]);
    assert_eq!(done.code, Some(0), "{done:?}");

    let mut connection = PgConnection::connect(&stage.url).await.unwrap();
    let rows: Vec<(String, Option<String>, Value)> =
        sqlx::query_as("select key, city, body from mls.property order by split_part(key, ' ', 1)::int")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(rows.len(), STRANGE.len(), "{rows:?}");
    for ((at, text), (key, city, body)) in STRANGE.iter().enumerate().zip(rows) {
        let stored = as_stored(text);
        assert_eq!(key, format!("{at} {}", text.replace('\0', "")));
        assert_eq!(city.as_deref(), Some(&*stored));
        assert_eq!((&body["PublicRemarks"], &body[&stored]), (&json!(stored), &json!(stored)), "{body}");
        let got = stage.run(&["get", "beaches", "Property", &key]);
        assert_eq!(got.code, Some(0), "{got:?}");
        let shown: Value = serde_json::from_str(&got.out).unwrap();
        assert!(shown.to_string().contains(&json!(stored).to_string()), "{shown:#}");
    }

    // By key they are asked for again, deleted and remembered: the feed has none of them any more.
    let old = "select max(written_at) < clock_timestamp() - interval '1.5 s' from mls.property";
    stage.until("the rows are older than the cache window", old).await;
    let purged = stage.run(&["once", "purge", "--resource", "Property"]);
    assert_eq!(purged.code, Some(3), "{purged:?}");
    let plan = stage.run(&["purge", "plan", "--all", "--json"]);
    let plans: Value = serde_json::from_str(&plan.out).unwrap();
    let planned: Vec<&str> =
        plans[0]["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    let missing: Vec<_> =
        records.iter().filter(|record| !planned.contains(&record["ListingKey"].as_str().unwrap())).collect();
    assert!(missing.is_empty(), "the plan {planned:?} does not name {missing:?}");
}

#[test]
fn a_feed_whose_name_is_more_than_a_name_is_refused() {
    for name in ["a'b", "a\\\"b", "a b", "a;b", "\u{202e}a", "\u{1f3e0}"] {
        let text = format!(
            "[database]\nurl = 'postgres://nobody@127.0.0.1:1/mls'\n[feeds.\"{name}\"]\ntoken = 't'\n"
        );
        let (_folder, path) = super::process::file(&text);
        let ended = super::process::run(["config", "check", "--offline", "--config", path.to_str().unwrap()]);
        assert_eq!(ended.code, Some(78), "{name}: {ended:?}");
    }
}
