//! Reads Spark's `D` envelope: one body in, flat records out.

use std::borrow::Cow;

use serde_json::value::RawValue;
use spark_domain::Query;

use super::flat::flatten;
use crate::envelope::{self, Envelope, Records, Unread, decode, object, parse};

#[derive(serde::Deserialize)]
struct Wire<'a> {
    #[serde(rename = "D", borrow, default)]
    d: Option<D<'a>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct D<'a> {
    success: Option<bool>,
    #[serde(borrow, default)]
    results: Option<Records<'a>>,
    #[serde(borrow, default)]
    skip_token: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pagination: Option<Pagination<'a>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pagination<'a> {
    #[serde(borrow, default)]
    total_rows: Option<&'a RawValue>,
}

/// A page of a list; its `next` is the token as it was given.
pub(crate) fn list(bytes: Vec<u8>, query: &Query) -> Result<Envelope, Unread> {
    let (text, scrubbed) = decode(bytes)?;
    let d = envelope_of(&text)?;
    let Some(Records(results)) = d.results else {
        return Err(Unread::malformed("D has no member \"Results\""));
    };
    let mut flat = String::with_capacity(text.len());
    let mut records = Vec::with_capacity(results.len());
    for result in results {
        let begin = flat.len();
        // What cannot be read goes on as it is: to quarantine, with its own words.
        flatten(result.get(), query, &mut flat).unwrap_or_else(|_| {
            flat.truncate(begin);
            flat.push_str(result.get());
        });
        records.push(begin..flat.len());
    }
    let next = d.skip_token.and_then(token);
    let count =
        envelope::count(d.pagination.and_then(|pagination| pagination.total_rows), "Pagination.TotalRows")?;
    Ok(Envelope { text: flat, records, next, count, scrubbed })
}

/// How many there are; `Results` may be left out of this answer.
pub(crate) fn count(bytes: Vec<u8>) -> Result<Option<u64>, Unread> {
    let (text, _) = decode(bytes)?;
    let d = envelope_of(&text)?;
    envelope::count(d.pagination.and_then(|pagination| pagination.total_rows), "Pagination.TotalRows")
}

fn envelope_of(text: &str) -> Result<D<'_>, Unread> {
    let json = object(text);
    let wire: Wire<'_> = parse(json)?;
    match wire.d {
        Some(d) if d.success != Some(false) => Ok(d),
        _ => Err(Unread::refusal(json, "it has no member \"D\"; is base_url the native API's?")),
    }
}

/// A token is a text; a number is taken as it is written, and null is none.
fn token(raw: &RawValue) -> Option<String> {
    match raw.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str::<Cow<'_, str>>(text).ok().map(Cow::into_owned),
        other => Some(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spark_domain::Resource;

    use super::*;

    fn query() -> Query {
        Query::collection(Resource::Property)
    }

    fn read(body: &str) -> Result<Envelope, Unread> {
        list(body.as_bytes().to_vec(), &query())
    }

    #[test]
    fn a_page_is_flat_records_and_a_token() {
        let page = read(
            r#"{"D":{"Success":true,"SkipToken":"t-2","Results":[
                {"Id":"1","StandardFields":{"ListingKey":"1","ListPrice":5}},
                {"Id":"2","StandardFields":{"ListPrice":6}}],"Pagination":{"TotalRows":"2876"}}}"#,
        )
        .unwrap();
        let records: Vec<&str> = page.records.iter().map(|range| &page.text[range.clone()]).collect();
        assert_eq!(records, [r#"{"ListingKey":"1","ListPrice":5}"#, r#"{"ListingKey":"2","ListPrice":6}"#]);
        assert_eq!((page.next.as_deref(), page.count), (Some("t-2"), Some(2876)));
    }

    #[test]
    fn a_count_needs_no_results() {
        let body = br#"{"D":{"Success":true,"Pagination":{"TotalRows":12}}}"#;
        assert_eq!(count(body.to_vec()).unwrap(), Some(12));
        assert!(matches!(list(body.to_vec(), &query()), Err(Unread::Malformed(_))));
    }

    #[test]
    fn a_refusal_under_a_status_of_success_is_a_refusal() {
        let refused = read(r#"{"D":{"Success":false,"Code":1024,"Message":"wait"}}"#);
        assert!(matches!(refused, Err(Unread::Refusal(said)) if said.code == Some(1024)));
        assert!(
            matches!(read(r#"{"value":[]}"#), Err(Unread::Malformed(problem)) if problem.contains("base_url"))
        );
        assert!(matches!(read("<html>"), Err(Unread::Malformed(_))));
        assert!(matches!(read(r#"{"D":{"Success":true,"Results":[{"Id":"1""#), Err(Unread::Malformed(_))));
    }

    #[test]
    fn a_record_that_is_none_goes_on_as_it_is() {
        let page = read(r#"{"D":{"Success":true,"Results":["x",{"Id":"1","StandardFields":{}}]}}"#).unwrap();
        assert_eq!(page.text, r#""x"{"ListingKey":"1"}"#);
        assert_eq!(page.next, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_page_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = list(bytes.clone(), &query());
            let _ = count(bytes);
        }
    }
}
