//! Takes secrets out of an answer, and what people wrote, and leaves its shape.
//!
//! A page is gone through byte by byte and not parsed: what is wrong with it is what it is recorded for. So
//! everything but the inside of values stays, in broken JSON too, and the same page is always made the same. What
//! is not known to be harmless is taken out; what is no JSON keeps no letter.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate};

use super::Values;
use crate::envelope::is_html;
use crate::quote::Forms;

/// Texts of a record that stay, by the end of their members' names: keys and stamps.
const KEPT_ENDINGS: [&str; 6] = ["Key", "KeyNumeric", "Timestamp", "MlsId", "AgentId", "OfficeId"];
/// And by their whole names: of which kind a record is, and how it stands.
const KEPT_NAMES: [&str; 22] = [
    "Id",
    "ListingId",
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
    "Date",
    "StartTime",
    "EndTime",
];
/// Numbers that stay, by the end of their members' names. Coordinates, house numbers and codes are numbers too.
const KEPT_NUMBERS: [&str; 5] = ["Count", "Price", "KeyNumeric", "Order", "Total"];
/// Texts beside the records: how to go on, and what went wrong.
const ENVELOPE: [&str; 6] = ["SkipToken", "Code", "code", "Message", "message", "target"];
/// Objects and lists that hold such texts.
const ENVELOPES: [&str; 6] = ["D", "error", "details", "innererror", "Pagination", "SparkQLErrors"];

/// What stands in the place of a text that repeats a secret.
const MASK: &str = "[secret]";
/// How often servers write JSON within JSON.
const DEEPEST_ESCAPES: usize = 4;

/// An answer as it may be recorded.
pub(super) fn redacted(text: &str, values: Values, secrets: &[Arc<Forms>]) -> String {
    let json = text.trim_start_matches('\u{feff}').trim_start();
    if json.starts_with(['{', '[']) {
        return Redactor {
            values,
            secrets,
            out: String::new(),
            levels: Vec::new(),
            member: Member::default(),
            name_comes: false,
        }
        .run(text);
    }
    match values {
        Values::Kept => {
            let mut text = text.to_owned();
            mask(&mut text, secrets);
            text
        }
        Values::Redacted => {
            // That it was HTML decides how it is taken.
            let mut out = if is_html(text.as_bytes()) { "<html>".to_owned() } else { String::new() };
            shape(text, &mut out);
            out
        }
    }
}

/// Takes a text away that repeats a secret.
pub(super) fn mask(text: &mut String, secrets: &[Arc<Forms>]) {
    if repeats_a_secret(text, secrets) {
        MASK.clone_into(text);
    }
}

/// Whether a text holds a secret, as it is or under escapes.
fn repeats_a_secret(text: &str, secrets: &[Arc<Forms>]) -> bool {
    let shows = |text: &str| secrets.iter().any(|forms| forms.are_in(text));
    if shows(text) {
        return true;
    }
    let mut text = text.to_owned();
    for _ in 0..DEEPEST_ESCAPES {
        if !text.contains(['\\', '&']) {
            return false;
        }
        text = unescaped(&text);
        if shows(&text) {
            return true;
        }
    }
    false
}

/// A text without one layer of JSON's and of HTML's escapes, whatever it is.
fn unescaped(text: &str) -> String {
    const ENTITIES: [(&str, char); 7] = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&#39;", '\''),
        ("&#x27;", '\''),
        ("&#43;", '+'),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((entity, meant)) = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity)) {
            out.push(*meant);
            rest = &rest[entity.len()..];
            continue;
        }
        let code = rest.strip_prefix("\\u").and_then(|rest| rest.get(..4));
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if let Some(code) = code {
            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            rest = &rest[6..];
            continue;
        }
        let mut behind = rest.chars();
        match (behind.next(), behind.next()) {
            (Some('\\'), Some(escaped)) => {
                out.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
                rest = behind.as_str();
            }
            (Some(first), _) => {
                out.push(first);
                rest = &rest[1..];
            }
            (None, _) => {}
        }
    }
    out.push_str(rest);
    out
}

struct Redactor<'a> {
    values: Values,
    secrets: &'a [Arc<Forms>],
    out: String,
    levels: Vec<Level>,
    /// The member whose value comes.
    member: Member,
    name_comes: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Member {
    text_stays: bool,
    number_stays: bool,
    /// Whether its objects are about the answer and not about a record.
    is_envelope: bool,
}

struct Level {
    is_object: bool,
    /// Whose value this object or list is.
    member: Member,
}

impl Redactor<'_> {
    fn run(mut self, text: &str) -> String {
        self.out.reserve(text.len());
        self.member.is_envelope = true;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '"' => self.string(rest),
                '-' | '0'..='9' => self.number(rest),
                _ => {
                    self.structure(first);
                    self.out.push(first);
                    first.len_utf8()
                }
            };
            rest = &rest[length..];
        }
        self.out
    }

    fn structure(&mut self, sign: char) {
        match sign {
            '{' | '[' => {
                self.name_comes = sign == '{';
                self.levels.push(Level { is_object: sign == '{', member: self.member });
            }
            '}' | ']' => {
                self.name_comes = false;
                self.member = self.levels.pop().map(|level| level.member).unwrap_or_default();
            }
            ',' => {
                if let Some(level) = self.levels.last() {
                    self.name_comes = level.is_object;
                    self.member = level.member;
                }
            }
            _ => {}
        }
    }

    /// A string from its first quotation mark; how long it is.
    fn string(&mut self, text: &str) -> usize {
        let mut escaped = false;
        let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let length = end.map_or(text.len(), |(at, _)| at + 1);
        let inside = &text[1..end.map_or(text.len(), |(at, _)| at)];
        let is_name = std::mem::take(&mut self.name_comes);
        if is_name {
            let beside_records = self.levels.last().is_some_and(|level| level.member.is_envelope);
            self.member = Member::named(inside, beside_records);
        }
        self.out.push('"');
        if repeats_a_secret(inside, self.secrets) {
            self.out.push_str(MASK);
        } else if is_name || self.values == Values::Kept || self.member.text_stays || is_moment(inside) {
            self.out.push_str(inside);
        } else {
            shape(inside, &mut self.out);
        }
        if end.is_some() {
            self.out.push('"');
        }
        length
    }

    fn number(&mut self, text: &str) -> usize {
        let of_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let length = text.find(|c| !of_number(c)).unwrap_or(text.len());
        let stays = self.values == Values::Kept || self.member.number_stays;
        let shown = |digit: char| if !stays && digit.is_ascii_digit() { '1' } else { digit };
        self.out.extend(text[..length].chars().map(shown));
        length
    }
}

impl Member {
    fn named(name: &str, beside_records: bool) -> Self {
        let ends = |endings: &[&str]| {
            // Names with other signs are an MLS' own, and may mean anything.
            name.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && endings.iter().any(|ending| name.ends_with(ending))
        };
        let is_annotation = name.contains('@');
        let is_envelope = beside_records && ENVELOPES.contains(&name);
        Self {
            text_stays: is_annotation
                || ends(&KEPT_ENDINGS)
                || KEPT_NAMES.contains(&name)
                || (beside_records && ENVELOPE.contains(&name)),
            // Paging and error codes; a record asked for alone has no envelope, but none of their names either.
            number_stays: is_annotation || ends(&KEPT_NUMBERS) || (beside_records && is_counting(name)),
            is_envelope,
        }
    }
}

fn is_counting(name: &str) -> bool {
    ["Code", "code", "TotalRows", "TotalPages", "PageSize", "CurrentPage", "Status", "status"].contains(&name)
}

/// A text of the same kind. Ones, because `11/11/1111` is a date and `1,111` a price.
fn shape(text: &str, out: &mut String) {
    let mut rest = text.chars();
    while let Some(first) = rest.next() {
        match first {
            '\\' => match rest.next() {
                Some('u') => {
                    let digits = rest.as_str().chars().take(4).take_while(char::is_ascii_hexdigit).count();
                    rest.by_ref().take(digits).for_each(drop);
                    out.push_str("\\u0078");
                }
                Some(escaped) if escaped.is_ascii() => out.extend(['\\', escaped]),
                Some(_) => out.push_str("\\x"),
                None => out.push('\\'),
            },
            'A'..='Z' => out.push('X'),
            '0'..='9' => out.push('1'),
            _ if first.is_ascii() && !first.is_ascii_alphabetic() => out.push(first),
            _ => out.push('x'),
        }
    }
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
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> String {
        redacted(text, Values::Redacted, &[])
    }

    #[test]
    fn what_people_wrote_loses_its_letters_and_digits() {
        for (said, shown) in [
            (
                r#"{"value":[{"ListAgentFullName": "Ann O'Hara", "ListPrice": 450000, "StandardStatus": "Active"}]}"#,
                r#"{"value":[{"ListAgentFullName": "Xxx X'Xxxx", "ListPrice": 450000, "StandardStatus": "Active"}]}"#,
            ),
            (
                r#"{"ListingKey":"2024A","ModificationTimestamp":"2026-03-01T12:00:00Z","Seen":"2026-03-01"}"#,
                r#"{"ListingKey":"2024A","ModificationTimestamp":"2026-03-01T12:00:00Z","Seen":"2026-03-01"}"#,
            ),
            (
                r#"{"Latitude":-44.97,"StreetNumberNumeric":1200,"PostalCode":"55401","Geo":{"coordinates":[-93.2,4]}}"#,
                r#"{"Latitude":-11.11,"StreetNumberNumeric":1111,"PostalCode":"11111","Geo":{"coordinates":[-11.1,1]}}"#,
            ),
            (
                r#"{"value":[{"AccessCode":"1984#","Gate_sp_Key":"under the mat","ParcelNumber":"0434-12-34.0007"}]}"#,
                r#"{"value":[{"AccessCode":"1111#","Gate_sp_Key":"xxxxx xxx xxx","ParcelNumber":"1111-11-11.1111"}]}"#,
            ),
            (
                r#"{"Media":[{"MediaKey":"m1","MediaURL":"https://cdn/7.jpg"}],"City":"********"}"#,
                r#"{"Media":[{"MediaKey":"m1","MediaURL":"xxxxx://xxx/1.xxx"}],"City":"********"}"#,
            ),
            (
                r#"{"Appliances":["Oven",{"UserType":"Member"},"Range \"A\"\n\u00e9é"],"@odata.nextLink":"https://h/a?b=C"}"#,
                r#"{"Appliances":["Xxxx",{"UserType":"Member"},"Xxxxx \"X\"\n\u0078x"],"@odata.nextLink":"https://h/a?b=C"}"#,
            ),
            (
                r#"{"D":{"Success":true,"SkipToken":"2024A7","Pagination":{"TotalRows":7},"Results":[{"Message":"Call Ann","Code":7}]}}"#,
                r#"{"D":{"Success":true,"SkipToken":"2024A7","Pagination":{"TotalRows":7},"Results":[{"Message":"Xxxx Xxx","Code":1}]}}"#,
            ),
            (
                r#"{"error":{"code":1515,"message":"Too much"}}"#,
                r#"{"error":{"code":1515,"message":"Too much"}}"#,
            ),
            ("<html>Ann Hara</html>", "<html><xxxx>Xxx Xxxx</xxxx>"),
            ("Notice: Ann\n{\"a\":\"b\"}", "Xxxxxx: Xxx\n{\"x\":\"x\"}"),
        ] {
            assert_eq!(values(said), shown);
        }
    }

    #[test]
    fn a_text_that_repeats_a_secret_goes_as_a_whole_under_whatever_escapes() {
        let secrets = [Arc::new(Forms::of("s3cr3t/Of+Be\"aches&Co"))];
        for said in [
            r#"s3cr3t/Of+Be\"aches&Co"#,
            r#"s3cr3t\/Of+Be\"aches&Co"#,
            r"s3cr3t\u002fOf\u002BBe\u0022aches\u0026Co",
            r#"{\"a\":\"s3cr3t/Of+Be\\\"aches&Co\"}"#,
            r#"{\\\"a\\\":\\\"s3cr3t\\/Of+Be\\\\\\\"aches&Co\\\"}"#,
            "s3cr3t/Of+Be&quot;aches&amp;Co",
            "s3cr3t%2FOf%2BBe%22aches%26Co",
        ] {
            for place in ["Remarks", "ListingKey", "@odata.nextLink"] {
                let page = format!(r#"{{"value":[{{"{place}":"x {said} y","ListPrice":1}}]}}"#);
                let shown = redacted(&page, Values::Kept, &secrets);
                assert_eq!(shown, format!(r#"{{"value":[{{"{place}":"[secret]","ListPrice":1}}]}}"#));
                assert!(!redacted(&page, Values::Redacted, &secrets).contains("s3cr3t"), "{page}");
            }
            assert_eq!(redacted(&format!("no JSON: {said}"), Values::Kept, &secrets), "[secret]");
        }
        let mut link = "https://h/Property?$skiptoken=7".to_owned();
        mask(&mut link, &[Arc::new(Forms::of("tok"))]);
        assert!(link.ends_with("$skiptoken=7"), "so short a secret is a part of every word: {link}");
        let harmless = r#"{"Remarks":"C:\\beach & more \u00e9","n":[1.50]}"#;
        assert_eq!(redacted(harmless, Values::Kept, &secrets), harmless);
    }

    #[test]
    fn what_is_cut_stays_cut_where_it_was() {
        let page = r#"{"value":[{"ListingKey":"1","PublicRemarks":"A \"rare\" find\u00e9"}]}"#;
        for end in 0..page.len() {
            let shown = values(&page[..end]);
            assert!(!shown.contains("rare") && !shown.contains("find"), "{shown}");
            assert!(shown.len() <= end + 6, "{end}: {shown}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_gone_through_to_its_end(text in "[\\[{\"]\\PC*", secret in "[a-z\\\\\"&]{6,9}") {
            let once = values(&text);
            prop_assert_eq!(values(&once), once, "what has a shape only keeps it");
            redacted(&text, Values::Kept, &[Arc::new(Forms::of(&secret))]);
        }

        #[test]
        fn json_stays_json_of_the_same_make(words in proptest::collection::vec("\\PC*", 0..5), n in any::<f64>()) {
            let page = serde_json::json!({"value": [{"ListingKey": "k", "Remarks": words, "Longitude": n}], "x": 1});
            let shown: serde_json::Value = serde_json::from_str(&values(&page.to_string())).unwrap();
            prop_assert_eq!(shown["value"][0]["Remarks"].as_array().unwrap().len(), words.len());
            prop_assert_eq!(&shown["value"][0]["ListingKey"], "k");
        }
    }
}
