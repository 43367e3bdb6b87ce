//! When two questions are the same: an hour later a replicator asks for what changed since another moment, and
//! puts other keys together.

use chrono::DateTime;

use crate::{dialect::Dialect, http::Request, journal::Entry, odata, spark, world::Resource};

/// What paging, counting and filtering by key add to a question about records.
const ABOUT_THE_LIST: [&str; 8] =
    ["$filter", "_filter", "$top", "_limit", "$count", "_pagination", "$skiptoken", "_skiptoken"];

/// How large a page is wanted.
const SIZES: [&str; 2] = ["$top", "_limit"];

/// A question, with a star for every moment in it.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) text: String,
    /// The same without its page size: what a page weighed decides about the next one, and a replay's weigh less.
    pub(super) sizeless: String,
    pub(super) dialect: Dialect,
    pub(super) resource: Option<Resource>,
    pub(super) by_key: Option<ByKey>,
}

/// Records that are asked for by name.
#[derive(Debug)]
pub(super) struct ByKey {
    pub(super) keys: Vec<String>,
    /// Where they are, and which fields and relations of them are wanted.
    pub(super) scope: String,
    /// Whether the path names the record, so that the answer is that record alone.
    pub(super) is_single: bool,
}

/// Where a feed was recorded: in which dialect, and at which path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) dialect: Dialect,
    pub(super) path: String,
}

impl Base {
    /// The target as it would be at the simulator.
    fn translated(&self, target: &str) -> String {
        let path = match self.dialect {
            Dialect::Reso => odata::PATH,
            Dialect::Spark => spark::PATH,
        };
        target.strip_prefix(&self.path).map_or_else(|| target.to_owned(), |rest| format!("{path}{rest}"))
    }
}

/// Takes a question apart, from the slash behind the origin on.
pub(super) fn question(base: &Base, target: &str) -> Question {
    let target = base.translated(target);
    let request = Request { method: "GET".to_owned(), target, headers: Vec::new(), body: Vec::new() };
    let mut entry = Entry::of(&request, DateTime::UNIX_EPOCH);
    entry.translate();
    let named = |but: &[&str]| {
        let params = entry.params.iter().filter(|(name, _)| !but.contains(&name.as_str()));
        let mut params: Vec<String> =
            params.map(|(name, value)| format!("{name}={}", timeless(value))).collect();
        params.sort();
        params.join("&")
    };
    let by_key = entry.keys().map(|keys| {
        let is_single = entry.key.is_some();
        let path = match (&entry.key, entry.dialect) {
            (None, _) => entry.path.as_str(),
            (Some(_), Dialect::Reso) => entry.path.split('(').next().unwrap_or_default(),
            (Some(_), Dialect::Spark) => entry.path.rsplit_once('/').map_or("", |(list, _)| list),
        };
        ByKey { keys, scope: format!("{path}?{}", named(&ABOUT_THE_LIST)), is_single }
    });
    Question {
        text: format!("{}?{}", entry.path, named(&[])),
        sizeless: format!("{}?{}", entry.path, named(&SIZES)),
        dialect: base.dialect,
        resource: entry.resource.as_deref().and_then(Resource::named),
        by_key,
    }
}

/// A text with a star for every `2026-03-01T12:00:00.000Z`.
fn timeless(text: &str) -> String {
    const DAY: usize = "2026-03-01T".len();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let begins = rest.as_bytes().get(..DAY).is_some_and(|head| {
            head.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                10 => *byte == b'T',
                _ => byte.is_ascii_digit(),
            })
        });
        if begins {
            let length = rest[DAY..].find(|c: char| !(c.is_ascii_digit() || ":.Z".contains(c)));
            out.push('*');
            rest = length.map_or("", |length| &rest[DAY + length..]);
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server whose paths are nobody else's.
    fn at_its_own_path(target: &str) -> Question {
        super::question(&Base { dialect: Dialect::Reso, path: "/reso".to_owned() }, target)
    }

    #[test]
    fn two_updates_are_the_same_question_and_two_pages_are_not() {
        let text = |target: &str| at_its_own_path(target).text;
        let update = "/reso/Property?$top=9&$filter=ModificationTimestamp%20gt%202026-03-01T12:00:00Z";
        assert_eq!(text(update), text(&update.replace("12:00:00Z", "13:30:10.5Z")));
        assert_eq!(text("/A?a=1&b=2"), text("/A?b=2&a=1"), "the order says nothing");
        let other = update.replace("$top=9", "$top=8");
        assert_ne!(text(update), text(&other));
        assert_eq!(at_its_own_path(update).sizeless, at_its_own_path(&other).sizeless);
        assert_ne!(text(update), text(&format!("{update}&$skiptoken=7")));
        assert_eq!(
            timeless("gt 2026-03-01T12:00:00Z and le 2026-03-02T00:00:00.000Z or 2026-03-01"),
            "gt * and le * or 2026-03-01"
        );
    }

    #[test]
    fn records_asked_for_by_key_are_the_same_in_every_form() {
        let of = |target: &str| at_its_own_path(target).by_key.unwrap();
        let listed = of("/reso/Property?$expand=Media&$top=2&$filter=ListingKey in ('a','b')");
        let either = of("/reso/Property?$expand=Media&$filter=ListingKey eq 'b' or ListingKey eq 'a'");
        let alone = of("/reso/Property('a')?$expand=Media");
        assert_eq!(
            (listed.keys.as_slice(), either.keys.as_slice()),
            (&["a", "b"].map(str::to_owned)[..], &["b", "a"].map(str::to_owned)[..])
        );
        assert_eq!([&listed.scope, &either.scope], [&alone.scope; 2]);
        assert!(alone.is_single && !listed.is_single);
        let base = Base { dialect: Dialect::Spark, path: "/v1".to_owned() };
        let native = |target: &str| question(&base, target).by_key.unwrap();
        let listed = native("/v1/listings?_expand=Photos&_filter=ListingKey Eq 'a','b'");
        assert_eq!(listed.scope, native("/v1/listings/a?_expand=Photos").scope);
        assert!(at_its_own_path("/reso/Property?$top=2").by_key.is_none());
    }
}
