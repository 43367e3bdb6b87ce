//! The hash of a record as served is the hash of its body as Postgres gives it back.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use spark_domain::{Resource, Shape, record};

use crate::fixtures::{Bench, key};

/// Scalars in every spelling, text with escapes that the scrubbing of pages leaves, arrays and objects.
fn value() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (any::<i32>(), 0..20_u32).prop_map(|(n, digits)| format!("{n}.{digits:03}0")),
        (-999..999_i32, -30..30_i32).prop_map(|(n, exponent)| format!("{n}.5e{exponent}")),
        (1..999_u32).prop_map(|n| format!("{n}00E+3")),
        Just("-0.0".to_owned()),
        Just("123456789012345678901234567890.10".to_owned()),
    ];
    let text = prop_oneof![
        "[^\\x00\"\\\\]{0,12}".prop_map(|plain: String| serde_json::Value::from(plain).to_string()),
        Just(r#""\u00e9\ud83d\ude00\/\b\f\n\r\t\"\\\u001f""#.to_owned()),
    ];
    let scalar =
        prop_oneof![number, text, Just("true".to_owned()), Just("false".to_owned()), Just("null".to_owned())];
    scalar.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof!["[a-cA-C@. é]{0,4}", Just("@odata.id".to_owned()), Just("Media".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(", "))),
            prop::collection::vec((name, inner), 0..4).prop_map(|members| object(&members)),
        ]
    })
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{} :{value}", serde_json::Value::from(name.as_str())))
        .collect();
    format!("{{{}}}", members.join(" , "))
}

/// A record; a name may come twice, and the last one counts.
fn body() -> impl Strategy<Value = String> {
    let name = prop_oneof!["[A-D][a-c]{0,2}", r"[A-B]@Core\.Permissions", r"[A-B]@odata\.type"];
    prop::collection::vec((name, value()), 0..12).prop_map(|mut members| {
        members.push(("ListingKey".to_owned(), r#""k""#.to_owned()));
        object(&members)
    })
}

#[tokio::test]
async fn the_hash_of_the_wire_is_the_hash_of_the_body_read_back() {
    let bench = Bench::new().await;
    let shape = Shape::new(Resource::Property, &[], BTreeSet::new());
    let mut runner = TestRunner::default();
    for _ in 0..300 {
        let wire = body().new_tree(&mut runner).unwrap().current();
        let served = record::read(&wire, &shape).unwrap();
        let outcome = bench.listings(&[&wire]).await;
        assert_eq!(outcome.rejected, 0, "{wire}");
        let stored =
            bench.store().record(bench.lease.feed(), Resource::Property, &key("k")).await.unwrap().unwrap();
        let again = record::read(&stored.body, &shape).unwrap();
        assert_eq!(served.hash, again.hash, "{wire}\n{}", stored.body);
        assert_eq!(served.hash, stored.hash, "{wire}");
    }
}
