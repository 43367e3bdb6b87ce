//! A record and its canonical hash.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::value::RawValue;
use spark_domain::record::{self, Members, scrub_in_place};
use spark_domain::{Record, Resource, Shape};

use crate::{is_a_line, unreadable};

const COLUMNS: [&str; 5] = ["ListPrice", "City", "ListingKey", "ModificationTimestamp", "LookupValue"];

const EXCLUDED: &str = "PrivateRemarks";

fn shape(resource: Resource) -> Shape {
    Shape::new(resource, &COLUMNS, BTreeSet::from([EXCLUDED.to_owned()]))
}

/// The text as a page would hold it.
fn scrubbed(input: &[u8]) -> String {
    let mut bytes = input.to_vec();
    scrub_in_place(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one listing.
pub fn reads(input: &[u8]) {
    let text = scrubbed(input);
    drop(record::read(&text, &shape(Resource::Property)));
}

/// The record that is stored has the key, the hash and the values of the one that was served, also in the order
/// and the spelling in which `jsonb` gives it back.
pub fn holds(input: &[u8]) {
    let text = scrubbed(input);
    for resource in [Resource::Property, Resource::Lookup] {
        let shape = shape(resource);
        match record::read(&text, &shape) {
            Ok(record) => record_holds(&record, &text, &shape),
            Err(rejected) => {
                let kept = Members::read(&rejected.raw);
                assert!(!kept.is_ok_and(|kept| kept.get(EXCLUDED).is_some()), "what is excluded is kept");
                let whole = Shape::new(resource, &COLUMNS, BTreeSet::new());
                if let Err(rejected) = record::read(&text, &whole) {
                    assert!(text.starts_with(&rejected.raw), "what is kept is not of the record");
                }
                is_a_line(&rejected.reason.to_string());
            }
        }
    }
}

fn record_holds(record: &Record<'_>, text: &str, shape: &Shape) {
    let within = text.as_bytes().as_ptr_range();
    for column in record.columns.iter().flatten() {
        let place = column.as_bytes().as_ptr_range();
        assert!(within.start <= place.start && place.end <= within.end, "{column:?} is not of the record");
    }
    let body = record.body(shape);
    let stored = record::read(&body, shape).unwrap_or_else(|rejected| unreadable(&body, &rejected.reason));
    assert_eq!(stored.key, record.key);
    assert_eq!(stored.hash, record.hash, "{body}");
    assert_eq!(stored.modified_at, record.modified_at);
    assert_eq!(stored.columns, record.columns);
    assert_eq!(stored.fingerprint, record.fingerprint);
    assert!(stored.relations.is_empty(), "a body holds no relation");
    assert_eq!(stored.body(shape), body);

    let back = jsonb(&body);
    let read_back = record::read(&back, shape).unwrap_or_else(|rejected| unreadable(&back, &rejected.reason));
    assert_eq!((&read_back.key, read_back.hash), (&record.key, record.hash), "{back}");

    for set in &record.relations {
        let keys: BTreeSet<&str> = set.members.iter().map(|member| member.key.as_str()).collect();
        assert_eq!(keys.len(), set.members.len(), "two members have one key");
        for member in &set.members {
            let body = member.body();
            let parent =
                format!("{{\"ListingKey\":\"1\",\"LookupKey\":\"1\",\"{}\":[{body}]}}", set.relation);
            let again = record::read(&parent, shape).unwrap_or_else(|r| unreadable(&parent, &r.reason));
            let hashes: Vec<_> =
                again.relations.iter().flat_map(|set| &set.members).map(|m| m.hash).collect();
            assert_eq!(hashes, [member.hash], "{body}");
        }
    }
}

/// What `jsonb` makes of a text: members by length and then by bytes, the last of a name, spelled anew.
fn jsonb(text: &str) -> String {
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_str(text).unwrap_or_else(|error| unreadable(text, &error));
            let mut sorted: Vec<_> = members.into_iter().collect();
            sorted.sort_by(|a, b| (a.0.len(), &a.0).cmp(&(b.0.len(), &b.0)));
            let members = sorted.iter().enumerate().fold(String::new(), |mut all, (at, (name, value))| {
                let comma = if at > 0 { ", " } else { "" };
                let name = serde_json::Value::from(name.as_str());
                let _ = write!(all, "{comma}{name}: {}", jsonb(value.get()));
                all
            });
            format!("{{{members}}}")
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> =
                serde_json::from_str(text).unwrap_or_else(|error| unreadable(text, &error));
            let elements: Vec<String> = elements.iter().map(|element| jsonb(element.get())).collect();
            format!("[{}]", elements.join(", "))
        }
        Some(b'"') => {
            let plain: String = serde_json::from_str(text).unwrap_or_else(|error| unreadable(text, &error));
            serde_json::Value::from(plain).to_string()
        }
        _ => text.to_owned(),
    }
}
