//! Every text that is read as a time: stamps in records, `Date`, `Retry-After`.

use std::collections::BTreeSet;
use std::time::Instant;

use chrono::Datelike;
use spark_domain::{Resource, Shape, Timestamp, record};
use spark_fetcher::bytes;

/// Reads it in all three places.
pub fn reads(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _ = stamp(&text);
    let _ = bytes::date(&text);
    let _ = bytes::retry_after(&text, Timestamp::UNIX_EPOCH);
}

/// A time is one that Postgres can hold and that spells itself; a wait can be added to any clock.
pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(stamp) = stamp(&text) {
        // An offset may carry the first and the last year over.
        assert!((-1..=10_000).contains(&stamp.year()), "{stamp}");
    }
    if let Some(date) = bytes::date(&text) {
        assert!((1970..=9999).contains(&date.year()), "{date}");
        let spelled = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        assert_eq!(bytes::date(&spelled), Some(date));
    }
    for now in [Timestamp::UNIX_EPOCH, Timestamp::MAX_UTC, Timestamp::MIN_UTC] {
        if let Some(wait) = bytes::retry_after(&text, now) {
            assert!(wait <= bytes::LONGEST_WAIT, "{wait:?}");
            assert!(Instant::now().checked_add(wait).is_some(), "{wait:?}");
        }
    }
}

/// The ModificationTimestamp of a record that holds this text there.
fn stamp(text: &str) -> Option<Timestamp> {
    let quoted = serde_json::Value::from(text);
    let record = format!("{{\"ListingKey\":\"1\",\"ModificationTimestamp\":{quoted}}}");
    let shape = Shape::new(Resource::Property, &[], BTreeSet::new());
    record::read(&record, &shape).ok()?.modified_at
}
