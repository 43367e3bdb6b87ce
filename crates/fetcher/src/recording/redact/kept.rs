//! Which values of a record stay as they are, by their members' names and by what they look like.
//!
//! Neither is enough alone: an MLS may name a field of its own `Key` or `Date` and have people write into it, and
//! what looks like a key may be the code of a gate.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime};

/// Texts that stay if they look like keys, by the end of their members' names.
const KEY_ENDINGS: [&str; 5] = ["Key", "KeyNumeric", "MlsId", "AgentId", "OfficeId"];
/// And by their whole names.
const KEY_NAMES: [&str; 2] = ["Id", "ListingId"];
/// Texts that stay if they are moments.
const MOMENT_NAMES: [&str; 3] = ["Date", "StartTime", "EndTime"];
/// Of which kind a record is, and how it stands.
const WORD_NAMES: [&str; 17] = [
    "StandardStatus",
    "MlsStatus",
    "PropertyType",
    "PropertySubType",
    "PropertyClass",
    "MemberStatus",
    "MemberType",
    "OfficeStatus",
    "OfficeType",
    "TeamStatus",
    "OpenHouseStatus",
    "OpenHouseType",
    "UserType",
    "RoomType",
    "MediaCategory",
    "MediaType",
    "ResourceName",
];
/// Numbers that stay, by the end of their members' names. Coordinates, house numbers and codes are numbers too.
const NUMBER_ENDINGS: [&str; 5] = ["Count", "Price", "KeyNumeric", "Order", "Total"];
/// What a server says about an answer or about a field, behind an `@`.
const ANNOTATIONS: [&str; 13] = [
    "odata.context",
    "odata.nextLink",
    "odata.deltaLink",
    "odata.count",
    "odata.id",
    "odata.etag",
    "odata.type",
    "odata.editLink",
    "odata.readLink",
    "odata.navigationLink",
    "odata.associationLink",
    "odata.metadataEtag",
    "Core.Permissions",
];
/// Numbers beside the records: how to go on, and what went wrong.
const COUNTING: [&str; 8] =
    ["Code", "code", "TotalRows", "TotalPages", "PageSize", "CurrentPage", "Status", "status"];
/// Objects and lists that hold such, and the words of refusals.
const ENVELOPES: [&str; 6] = ["D", "error", "details", "innererror", "Pagination", "SparkQLErrors"];
/// Members whose names and values are an MLS' own, however deep.
const OWN: [&str; 3] = ["CustomFields", "CustomFieldsRaw", "CustomFieldsExpandedRaw"];

/// Longer than any key.
const LONGEST_KEY: usize = 64;
/// Longer than the name of any status or type.
const LONGEST_WORDS: usize = 50;

/// What is known of a member from its name and its place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Member {
    text: Promise,
    number_stays: bool,
    /// Whether its objects are about the answer and not about a record.
    is_envelope: bool,
    /// Whether names promise nothing here.
    is_own: bool,
}

/// What a name promises of a text.
#[derive(Debug, Clone, Copy, Default)]
enum Promise {
    #[default]
    Nothing,
    Key,
    Moment,
    Words,
    /// One word of a server's, or a link.
    Link,
    /// Whatever it is.
    Anything,
}

impl Member {
    /// An answer as a whole.
    pub(super) fn root() -> Self {
        Self { is_envelope: true, ..Self::default() }
    }

    /// The member of this name in the object that is the value of `parent`.
    pub(super) fn named(name: &str, parent: Self) -> Self {
        if parent.is_own || OWN.contains(&name) {
            return Self { is_own: true, ..Self::default() };
        }
        let ends = |endings: &[&str]| {
            // Names with other signs are an MLS' own, and may mean anything.
            name.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && endings.iter().any(|ending| name.ends_with(ending))
        };
        let is_annotation = is_annotation(name);
        let text = match name {
            _ if is_annotation && parent.is_envelope => Promise::Anything,
            _ if is_annotation => Promise::Link,
            "Message" | "message" | "target" if parent.is_envelope => Promise::Anything,
            "SkipToken" | "Code" | "code" if parent.is_envelope => Promise::Link,
            _ if ends(&KEY_ENDINGS) || KEY_NAMES.contains(&name) => Promise::Key,
            _ if ends(&["Timestamp"]) || MOMENT_NAMES.contains(&name) => Promise::Moment,
            _ if WORD_NAMES.contains(&name) => Promise::Words,
            _ => Promise::Nothing,
        };
        Self {
            text,
            // A record asked for alone has no envelope, but none of the names that count either.
            number_stays: is_annotation
                || ends(&NUMBER_ENDINGS)
                || (parent.is_envelope && COUNTING.contains(&name)),
            is_envelope: parent.is_envelope && ENVELOPES.contains(&name),
            is_own: false,
        }
    }

    pub(super) fn keeps_text(self, text: &str) -> bool {
        let keeps = match self.text {
            Promise::Nothing => false,
            Promise::Key => is_key(text),
            Promise::Moment => is_any_moment(text),
            Promise::Words => are_words(text),
            Promise::Link => !text.contains(char::is_whitespace),
            Promise::Anything => true,
        };
        // Some servers write numbers as texts.
        keeps || is_moment(text) || (self.number_stays && is_number(text))
    }

    pub(super) fn keeps_number(self) -> bool {
        self.number_stays
    }
}

fn is_annotation(name: &str) -> bool {
    name.split_once('@').is_some_and(|(field, annotation)| {
        field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && ANNOTATIONS.contains(&annotation)
    })
}

fn is_key(text: &str) -> bool {
    text.len() <= LONGEST_KEY
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:~|".contains(&byte))
}

/// `Active Under Contract`, `1/2 Duplex`.
fn are_words(text: &str) -> bool {
    text.len() <= LONGEST_WORDS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -/&,.()'+_".contains(&byte))
        && text.bytes().filter(u8::is_ascii_digit).count() < 4
}

/// A number of JSON and nothing else.
pub(super) fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
        && text.parse::<f64>().is_ok()
}

/// A day, a time of day or both, as standards or people in America write them.
fn is_any_moment(text: &str) -> bool {
    const SECONDS: [&str; 3] = ["%Y-%m-%d %H:%M:%S%.f", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p"];
    const TIMES: [&str; 3] = ["%H:%M", "%H:%M:%S%.f", "%I:%M %p"];
    is_moment(text)
        || NaiveDate::parse_from_str(text, "%m/%d/%Y").is_ok()
        || SECONDS.iter().any(|form| NaiveDateTime::parse_from_str(text, form).is_ok())
        || TIMES.iter().any(|form| NaiveTime::parse_from_str(text, form).is_ok())
}

/// `2026-03-01T12:00:00Z`, `2026-03-01`, and nothing else in it.
fn is_moment(text: &str) -> bool {
    const DAY: usize = "2026-03-01".len();
    let date = text.get(..DAY).and_then(|date| date.parse::<NaiveDate>().ok());
    let time = text.get(DAY..).unwrap_or_default();
    let is_time = time.is_empty()
        || (time.len() <= 25
            && time.starts_with('T')
            && time.bytes().skip(1).all(|byte| b"0123456789:.+-Z".contains(&byte)));
    is_time && date.is_some_and(|date| (1900..2200).contains(&date.year()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_only_if_it_looks_like_what_its_name_promises() {
        let kept = |name: &str, text: &str| Member::named(name, Member::default()).keeps_text(text);
        for (name, texts) in [
            ("ListingKey", &["20240101000000000000000000", "2024-A_7", "a3f1:9.b"][..]),
            ("ModificationTimestamp", &["2026-03-01T12:00:00Z", "2026-03-01T14:00:00.000+02:00"]),
            ("Date", &["03/01/2026", "2026-03-01"]),
            ("StartTime", &["9:30 am", "11:05 PM", "14:00"]),
            ("MlsStatus", &["Active Under Contract", "Sold - Co-op", "Leased/Rented"]),
            ("PropertyType", &["A", "1/2 Duplex"]),
            ("ListPrice", &["525000.00", "450000", "-1", "1.5e6"]),
            ("Media@odata.count", &["7"]),
            ("ListPrice@Core.Permissions", &["None"]),
            ("Media@odata.nextLink", &["https://h/a?b=C"]),
        ] {
            for text in texts {
                assert!(kept(name, text), "{name}: {text}");
            }
        }
        for (name, text) in [
            ("Key", "under the mat, gate 1984"),
            ("ListingKey", "Ann\\u0020Hara"),
            ("Date", "ask Ann Hara"),
            ("StartTime", "555-0142"),
            ("ModificationTimestamp", "1984"),
            ("MlsStatus", "call 612-555-0142"),
            ("MediaType", "ann.hara@example.com"),
            ("ListPrice", "525000 or 1984#"),
            ("ListPrice", "525000."),
            ("StreetNumber", "1200"),
            ("Call @ Office", "Bob"),
            ("Call@odata.id", "Bob Hara 555-0142"),
            ("Call@Office", "Bob"),
            ("@Office", "Bob"),
        ] {
            assert!(!kept(name, text), "{name}: {text}");
        }
        let own = Member::named("Key", Member::named("CustomFields", Member::root()));
        assert!(!own.keeps_text("A1984") && own.keeps_text("2026-03-01"));
        assert!(!Member::named("Price", own).keeps_number());
    }
}
