//! The body of an answer of success.

use serde::de::IgnoredAny;
use spark_domain::Page;
use spark_fetcher::bytes;

use crate::{is_a_line, unreadable};

/// Reads a list.
pub fn reads(input: &[u8]) {
    drop(bytes::page(input.to_vec(), false));
}

/// Every record is JSON that Postgres can hold, and the page read again is the same page.
pub fn holds(input: &[u8]) {
    for one in [false, true] {
        match bytes::page(input.to_vec(), one) {
            Ok(page) => page_holds(&page),
            Err(problem) => is_a_line(&problem),
        }
    }
}

fn page_holds(page: &Page) {
    assert!(page.head.next.as_ref().is_none_or(|link| !link.trim().is_empty()), "an empty link is no end");
    let mut records = Vec::new();
    for record in page.records() {
        serde_json::from_str::<IgnoredAny>(record).unwrap_or_else(|error| unreadable(record, &error));
        strings_hold(record);
        records.push(record);
    }
    let again = format!("{{\"value\":[{}]}}", records.join(","));
    match bytes::page(again.into_bytes(), false) {
        Ok(same) => {
            assert_eq!(same.records().collect::<Vec<_>>(), records);
            assert_eq!(same.head.scrubbed, 0);
        }
        Err(problem) => unreadable("its own records", &problem),
    }
}

/// Postgres refuses the whole record for one string with a NUL or half a surrogate pair.
pub(crate) fn strings_hold(json: &str) {
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let bytes = rest.as_bytes();
        let mut end = start + 1;
        while bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let token = &rest[start..=end];
        let text: String = serde_json::from_str(token).unwrap_or_else(|error| unreadable(token, &error));
        assert!(!text.contains('\0'), "left for Postgres to refuse: {token}");
        rest = &rest[end + 1..];
    }
}
