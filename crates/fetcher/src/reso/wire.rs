//! Reads an OData page: one buffer in, the places of its records out. Members may come in any order,
//! `@odata.nextLink` before `value` too.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::envelope::{Envelope, Records, Unread, count, decode, object, parse};

/// Servers refuse addresses far shorter than this.
const LONGEST_LINK: usize = 16 * 1024;

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

/// A page of a list.
pub(crate) fn list(bytes: Vec<u8>) -> Result<Envelope, Unread> {
    read(bytes, false)
}

/// A page of one record, which is the whole answer.
pub(crate) fn entity(bytes: Vec<u8>) -> Result<Envelope, Unread> {
    read(bytes, true)
}

fn read(bytes: Vec<u8>, bare: bool) -> Result<Envelope, Unread> {
    let malformed = |problem: &str| Err(Unread::malformed(problem));
    let (text, scrubbed) = decode(bytes)?;
    let json = object(&text);
    let wire: Wire<'_> = parse(json)?;
    let place = |raw: &str| {
        let start = raw.as_ptr().addr() - text.as_ptr().addr();
        start..start + raw.len()
    };
    let records = match wire.value {
        Some(Records(records)) => records.into_iter().map(|record| place(record.get())).collect(),
        None if wire.d.is_some() || wire.error.is_some() => {
            return Err(Unread::refusal(json, "it has no member \"value\""));
        }
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
    let count = count(wire.count, "@odata.count")?;
    Ok(Envelope { text, records, next, count, scrubbed })
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
