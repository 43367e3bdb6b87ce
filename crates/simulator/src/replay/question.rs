//! When two questions are the same: an hour later a replicator asks for what changed since another moment, and
//! puts other keys together.

use std::collections::BTreeSet;

use chrono::DateTime;

use crate::{dialect::Dialect, http::Request, journal::Entry, odata, spark, world::Resource};

/// What paging, counting and filtering by key add to a question about records.
const ABOUT_THE_LIST: [&str; 10] = [
    "$filter",
    "_filter",
    "$top",
    "_limit",
    "$count",
    "_pagination",
    "$skiptoken",
    "_skiptoken",
    "$orderby",
    "_orderby",
];

/// Which fields are wanted, and which relations.
const SELECTIONS: [&str; 2] = ["$select", "_select"];
const EXPANSIONS: [&str; 2] = ["$expand", "_expand"];

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
    pub(super) wanted: Wanted,
}

/// Records that are asked for by name.
#[derive(Debug)]
pub(super) struct ByKey {
    pub(super) keys: Vec<String>,
    /// Whether the path names the record, so that the answer is that record alone.
    pub(super) is_single: bool,
    /// Whether it goes on behind a page, and so leaves out what stood there.
    pub(super) goes_on: bool,
}

/// What of its records a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    /// The list that they are in.
    pub(super) place: String,
    /// Which fields; none: all.
    pub(super) fields: Option<BTreeSet<String>>,
    /// Which relations come along.
    pub(super) relations: BTreeSet<String>,
}

impl Wanted {
    /// Whether an answer to this question shows the fields that another one asks for.
    pub(super) fn has_fields_of(&self, other: &Self) -> bool {
        match (&self.fields, &other.fields) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(here), Some(there)) => there.is_subset(here),
        }
    }
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
    let named = |but: &[&[&str]]| {
        let params = entry.params.iter();
        let params = params.filter(|(name, _)| !but.iter().any(|group| group.contains(&name.as_str())));
        let mut params: Vec<String> =
            params.map(|(name, value)| format!("{name}={}", timeless(value))).collect();
        params.sort();
        params.join("&")
    };
    let listed = |names: &[&str]| {
        let value = &entry.params.iter().find(|(name, _)| names.contains(&name.as_str()))?.1;
        Some(value.split(',').map(|name| name.trim().to_owned()).collect::<BTreeSet<_>>())
    };
    let path = match (&entry.key, entry.dialect) {
        (None, _) => entry.path.as_str(),
        (Some(_), Dialect::Reso) => entry.path.split('(').next().unwrap_or_default(),
        (Some(_), Dialect::Spark) => entry.path.rsplit_once('/').map_or("", |(list, _)| list),
    };
    let wanted = Wanted {
        place: format!("{path}?{}", named(&[&ABOUT_THE_LIST, &SELECTIONS, &EXPANSIONS])),
        fields: listed(&SELECTIONS),
        relations: listed(&EXPANSIONS).unwrap_or_default(),
    };
    Question {
        text: format!("{}?{}", entry.path, named(&[])),
        sizeless: format!("{}?{}", entry.path, named(&[&SIZES])),
        dialect: base.dialect,
        resource: entry.resource.as_deref().and_then(Resource::named),
        by_key: entry.keys().map(|keys| ByKey {
            keys,
            is_single: entry.key.is_some(),
            goes_on: entry.after().is_some(),
        }),
        wanted,
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

    fn keys(keys: [&str; 2]) -> Vec<String> {
        keys.map(str::to_owned).to_vec()
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
        let listed = at_its_own_path("/reso/Property?$expand=Media&$top=2&$filter=ListingKey in ('a','b')");
        let either =
            at_its_own_path("/reso/Property?$expand=Media&$filter=ListingKey eq 'b' or ListingKey eq 'a'");
        let alone = at_its_own_path("/reso/Property('a')?$expand=Media");
        assert_eq!([&listed.wanted, &either.wanted], [&alone.wanted; 2]);
        let [listed, either, alone] = [listed, either, alone].map(|question| question.by_key.unwrap());
        assert_eq!((listed.keys, either.keys), (keys(["a", "b"]), keys(["b", "a"])));
        assert!(alone.is_single && !listed.is_single);
        let base = Base { dialect: Dialect::Spark, path: "/v1".to_owned() };
        let native = |target: &str| question(&base, target).wanted;
        let listed = native("/v1/listings?_expand=Photos&_filter=ListingKey Eq 'a','b'");
        assert_eq!(listed, native("/v1/listings/a?_expand=Photos"));
        assert!(at_its_own_path("/reso/Property?$top=2").by_key.is_none());
    }

    #[test]
    fn an_answer_with_more_fields_serves_a_question_for_fewer() {
        let of = |select: &str| at_its_own_path(&format!("/reso/Property?{select}")).wanted;
        let (all, two, one) = (of(""), of("$select=A, B"), of("$select=B"));
        assert!(all.has_fields_of(&two) && two.has_fields_of(&one) && one.has_fields_of(&one));
        assert!(!one.has_fields_of(&two) && !two.has_fields_of(&all));
    }
}
