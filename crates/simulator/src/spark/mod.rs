//! The native Spark surface: the same market below `/v1`, in Spark's own words.
//!
//! Everything comes in an envelope named `D`, refusals too. Written from Spark's documents and its published
//! fixtures alone, and strict: what they forbid is refused here as it would be there.

mod about;
mod filter;
mod page;
mod query;

use std::fmt::Write as _;

pub(crate) use self::{
    filter::{Token, tokens},
    page::answer,
};
use crate::{
    journal::Entry,
    odata::Answer,
    world::{Resource, string},
};

/// The path below which the surface lives.
pub(crate) const PATH: &str = "/v1";

/// How the last pages of a walk by `_skiptoken` say that nothing follows. No document tells; all were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListEnd {
    /// The last page carries a token, and the page behind it has no records and the same token.
    #[default]
    Empty,
    /// The last page has no token.
    Missing,
    /// The last page has the token that it was asked with.
    Unchanged,
    /// One of them, another one each time.
    Any,
}

/// What a path names below the surface's address: a collection, a record of it, a list that hangs on that one.
pub(crate) fn place(path: &str) -> (&str, Option<&str>, Option<&str>) {
    let rest = path.strip_prefix(PATH).unwrap_or(path).trim_matches('/');
    let mut parts = rest.split('/');
    (parts.next().unwrap_or_default(), parts.next(), parts.next())
}

/// The resource behind a collection and, of accounts, behind the one type of user that a filter asks for.
pub(crate) fn resource(collection: &str, filter: Option<&str>) -> Option<Resource> {
    match collection {
        "listings" => Some(Resource::Property),
        "openhouses" => Some(Resource::OpenHouse),
        "accounts" => filter.and_then(filter::user_type),
        _ => None,
    }
}

/// A refusal; `more` is a member of the envelope that explains it.
pub(crate) fn refuse(status: u16, code: i64, message: &str, more: Option<(&str, &str)>) -> Answer {
    let mut body = format!("{{\"D\":{{\"Success\":false,\"Code\":{code},\"Message\":");
    string(&mut body, message);
    if let Some((name, json)) = more {
        let _ = write!(body, ",\"{name}\":{json}");
    }
    body.push_str("}}");
    Answer { status, content_type: "application/json", body, records: 0 }
}

/// 404 in the surface's shape.
fn not_found() -> Answer {
    refuse(404, 404, "Not Found", None)
}

/// 1040, with what was not understood.
fn misread(token: &str, message: &str) -> Answer {
    let mut errors = "[{\"Token\":".to_owned();
    string(&mut errors, token);
    errors.push_str(",\"Message\":");
    string(&mut errors, message);
    errors.push_str(",\"Status\":\"Fatal\"}]");
    refuse(400, 1040, message, Some(("SparkQLErrors", &errors)))
}

/// Whole results; `more` are members of the envelope besides.
fn results(records: &str, many: usize, more: &str) -> Answer {
    let body = format!("{{\"D\":{{\"Success\":true,\"Results\":{records}{more}}}}}");
    Answer { status: 200, content_type: "application/json", body, records: many }
}

/// The collection's largest page.
fn most(entry: &Entry) -> usize {
    match place(&entry.path).0 {
        "listings" | "accounts" => 1_000,
        _ => 200,
    }
}
