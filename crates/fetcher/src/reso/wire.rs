//! Reads a page: one buffer in, the places of its records out.
//!
//! The envelope is read by borrowing; a record is never decoded here, only found. Members may come in any
//! order, `@odata.nextLink` before `value` too. What Postgres cannot hold is replaced before anything is
//! found, so that the places stay true.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spark_domain::record::scrub_in_place;

use super::Unread;
use crate::error::body;

/// No page is asked for with more than 1,000 records; a server that takes no notice may still send a list whole.
/// Places alone must not take more memory than the page.
const MOST_RECORDS: usize = 200_000;

/// Servers refuse addresses far shorter than this.
const LONGEST_LINK: usize = 16 * 1024;

/// No list has more. Taken as no count at all, it would make the shortest list a whole one.
const GREATEST_COUNT: u64 = 1_000_000_000_000;

/// A page as it came.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) text: String,
    pub(crate) records: Vec<Range<usize>>,
    /// The link as given.
    pub(crate) next: Option<String>,
    pub(crate) count: Option<u64>,
    /// Strings that had to be changed.
    pub(crate) scrubbed: usize,
}

impl Envelope {
    /// The page for a record that is not there.
    pub(crate) fn empty() -> Self {
        Self { text: String::new(), records: Vec::new(), next: None, count: None, scrubbed: 0 }
    }
}

#[derive(serde::Deserialize)]
struct Wire<'a> {
    #[serde(rename = "@odata.nextLink", borrow, default)]
    next: Option<Cow<'a, str>>,
    #[serde(rename = "@odata.count", borrow, default)]
    count: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<Records<'a>>,
    #[serde(rename = "D", borrow, default)]
    d: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// The elements of `value`, found and not read.
struct Records<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Records<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST_RECORDS} records")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Self::Value, S::Error> {
                let mut records = Vec::new();
                while let Some(record) = sequence.next_element()? {
                    if records.len() == MOST_RECORDS {
                        return Err(de::Error::invalid_length(records.len() + 1, &self));
                    }
                    records.push(record);
                }
                Ok(records)
            }
        }
        deserializer.deserialize_seq(Collect).map(Self)
    }
}

/// A page of a list.
pub(crate) fn list(bytes: Vec<u8>) -> Result<Envelope, Unread> {
    read(bytes, false)
}

/// A page of one record, which is the whole answer.
pub(crate) fn entity(bytes: Vec<u8>) -> Result<Envelope, Unread> {
    read(bytes, true)
}

/// Whether a body is written for people. A 404 of that kind comes from a proxy and says nothing about a record.
pub(crate) fn is_html(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'<')
}

fn read(mut bytes: Vec<u8>, bare: bool) -> Result<Envelope, Unread> {
    let malformed = |problem: &str| Err(Unread::malformed(problem));
    if bytes.trim_ascii().is_empty() {
        return malformed("it is empty");
    }
    if is_html(&bytes) {
        return malformed("it is HTML or XML instead of JSON");
    }
    let mut scrubbed = scrub_in_place(&mut bytes);
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        let bytes = error.into_bytes();
        scrubbed += bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let json = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if !json.trim_start().starts_with('{') {
        return malformed("it is no JSON object");
    }
    let wire = parse(json)?;
    let place = |raw: &str| {
        let start = raw.as_ptr().addr() - text.as_ptr().addr();
        start..start + raw.len()
    };
    let records = match wire.value {
        Some(Records(records)) => records.into_iter().map(|record| place(record.get())).collect(),
        None if wire.d.is_some() || wire.error.is_some() => return Err(refusal(json)),
        None if bare => vec![place(json.trim())],
        None => return malformed("it has no member \"value\""),
    };
    let next = wire.next.map(Cow::into_owned);
    if next.as_deref().is_some_and(|link| link.trim().is_empty()) {
        // Taken for the end, it would cut the list short, and what is behind it would look removed.
        return malformed("its @odata.nextLink is an empty text");
    }
    if next.as_deref().is_some_and(|link| link.len() > LONGEST_LINK) {
        return malformed("its @odata.nextLink is longer than any server takes");
    }
    let count = wire.count.and_then(|count| whole_number(count.get()));
    if count.is_some_and(|count| count > GREATEST_COUNT) {
        return malformed("its @odata.count counts more than there are");
    }
    Ok(Envelope { text, records, next, count, scrubbed })
}

fn parse(json: &str) -> Result<Wire<'_>, Unread> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let wire = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        Unread::malformed(&match error.path().to_string().as_str() {
            "." | "?" => error.inner().to_string(),
            path => format!("{} at {path}", error.inner()),
        })
    })?;
    reader.end().map_err(|error| Unread::malformed(&error.to_string()))?;
    Ok(wire)
}

/// An error envelope under a status of success.
fn refusal(json: &str) -> Unread {
    body::read(json.as_bytes())
        .map_or_else(|| Unread::malformed("it has no member \"value\""), Unread::Refusal)
}

/// A count may come as a text or as a float without a fraction.
fn whole_number(raw: &str) -> Option<u64> {
    let digits = raw.trim_matches('"');
    digits.strip_suffix(".0").unwrap_or(digits).parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(page: &Envelope) -> Vec<&str> {
        page.records.iter().map(|range| &page.text[range.clone()]).collect()
    }

    fn problem(body: &str) -> String {
        match list(body.as_bytes().to_vec()) {
            Err(Unread::Malformed(problem)) => problem,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn members_may_come_in_any_order() {
        for body in [
            r#"{"@odata.nextLink":"https://x/?a=1&b","@odata.count":3,"value":[ {"a":1} ,{"b":[2]}]}"#,
            r#"{ "value":[{"a":1},{"b":[2]}], "other":{"value":[]}, "@odata.count":"3", "@odata.nextLink":"https:\/\/x/?a=1\u0026b" }"#,
            "\u{feff}{\"@odata.count\":3.0,\"value\":[{\"a\":1},{\"b\":[2]}],\"@odata.nextLink\":\"https://x/?a=1&b\"}",
        ] {
            let page = list(body.as_bytes().to_vec()).unwrap();
            assert_eq!(records(&page), [r#"{"a":1}"#, r#"{"b":[2]}"#]);
            assert_eq!((page.count, page.next.as_deref()), (Some(3), Some("https://x/?a=1&b")));
        }
    }

    #[test]
    fn an_empty_page_without_a_link_is_legal() {
        let page = list(br#"{"value":[],"@odata.nextLink":null}"#.to_vec()).unwrap();
        assert_eq!((page.records.len(), page.next, page.count), (0, None, None));
    }

    #[test]
    fn what_is_no_page_says_why() {
        assert_eq!(problem(""), "it is empty");
        assert_eq!(problem(" \n"), "it is empty");
        assert_eq!(problem("<!doctype html><html>"), "it is HTML or XML instead of JSON");
        assert_eq!(problem("{}"), "it has no member \"value\"");
        assert_eq!(problem(r#"{"value":null}"#), "it has no member \"value\"");
        assert!(problem(r#"{"value":[{"a":1},{"b""#).contains("EOF"));
        assert!(problem(r#"{"value":{}}"#).ends_with(" at value"));
        let (long, line_ends) = ("n".repeat(100_000), r"a\nb\u0001c");
        for name in [long.as_str(), line_ends] {
            let problem = problem(&format!(r#"{{"value":[],"{name}":?}}"#));
            assert!(problem.len() < 300 && !problem.contains(char::is_control), "{problem:?}");
        }
        assert!(problem(r#"{"value":[]}{"value":[]}"#).contains("trailing"));
        assert!(problem(r#"{"value":[],"@odata.nextLink":""}"#).contains("nextLink"));
        assert_eq!(problem("[]"), "it is no JSON object");
    }

    #[test]
    fn an_error_under_a_status_of_success_is_an_error() {
        let refused = |body: &str| match list(body.as_bytes().to_vec()) {
            Err(Unread::Refusal(said)) => said.code,
            other => unreachable!("{other:?}"),
        };
        assert_eq!(refused(r#"{"D":{"Success":false,"Code":1024,"Message":"wait"}}"#), Some(1024));
        assert_eq!(refused(r#"{"error":{"code":"1550"}}"#), Some(1550));
        assert!(matches!(entity(br#"{"error":{"code":404}}"#.to_vec()), Err(Unread::Refusal(_))));
    }

    #[test]
    fn one_record_is_a_page_of_one() {
        let page =
            entity(b" {\"@odata.context\":\"#Property/$entity\",\"ListingKey\":\"1\"} \n".to_vec()).unwrap();
        assert_eq!(records(&page), [r##"{"@odata.context":"#Property/$entity","ListingKey":"1"}"##]);
    }

    #[test]
    fn what_postgres_cannot_hold_is_replaced_and_counted() {
        let mut body = br#"{"value":[{"a":"x\u0000y"},{"b":"\ud83d"},{"c":""#.to_vec();
        body.extend_from_slice(b"\xff\xfe\"}]}");
        let page = list(body).unwrap();
        assert_eq!(records(&page)[0], r#"{"a":"x\ufffdy"}"#);
        assert_eq!(records(&page)[2], "{\"c\":\"\u{fffd}\u{fffd}\"}");
        assert_eq!(page.scrubbed, 4);
    }

    proptest! {
        /// Whatever stands in a record, its place is found exactly.
        #[test]
        fn a_record_is_the_slice_that_was_written(
            texts in proptest::collection::vec(any::<String>(), 0..20),
            ahead in any::<bool>(),
        ) {
            let written: Vec<String> =
                texts.iter().map(|text| serde_json::json!({ "value": [text], "D": text }).to_string()).collect();
            let link = r#""@odata.nextLink":"https://x/""#;
            let value = format!("\"value\":[ {} ]", written.join(" , "));
            let body = if ahead { format!("{{{link},{value}}}") } else { format!("{{{value},{link}}}") };
            let page = list(body.into_bytes()).unwrap();
            let changed = page.scrubbed > 0;
            prop_assert!(changed || records(&page) == written);
            prop_assert_eq!(page.records.len(), written.len());
        }

        /// No body makes the reader panic.
        #[test]
        fn any_bytes_are_a_page_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = list(bytes.clone());
            let _ = entity(bytes);
        }
    }
}
