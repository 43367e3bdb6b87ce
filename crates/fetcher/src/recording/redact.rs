//! Takes what people wrote out of an answer and leaves its shape.
//!
//! A page is gone through byte by byte and not parsed: what is wrong with it is what it is recorded for. So
//! everything but the inside of values stays to the byte, in broken JSON too, and the same page is always made the
//! same, so that a change stays a change and what is equal stays equal.

/// Members whose texts name records, say when and of which kind: replication is about these.
const KEPT_ENDINGS: [&str; 14] = [
    "Key",
    "KeyNumeric",
    "Id",
    "Timestamp",
    "Date",
    "Time",
    "Status",
    "Type",
    "Category",
    "ResourceName",
    "Code",
    "code",
    "Message",
    "message",
];

/// Numbers that say where a home is, or whom to call.
const TELLING_NUMBERS: [&str; 6] = ["Latitude", "Longitude", "StreetNumber", "UnitNumber", "Phone", "Fax"];

/// The codes that are addresses.
const TELLING_CODES: [&str; 2] = ["PostalCode", "ZipCode"];

/// The text of an answer with every letter and digit of its telling values replaced. Answers that are no JSON
/// (`$metadata`, a proxy's page) hold no record and stay.
pub(super) fn values(text: &str) -> String {
    let json = text.trim_start_matches('\u{feff}').trim_start();
    if json.starts_with(['{', '[']) { Redactor::default().run(text) } else { text.to_owned() }
}

#[derive(Default)]
struct Redactor {
    out: String,
    levels: Vec<Level>,
    /// The member whose value comes.
    member: Member,
    name_comes: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Member {
    text_stays: bool,
    number_tells: bool,
}

struct Level {
    is_object: bool,
    /// Whose value this object or list is.
    member: Member,
}

impl Redactor {
    fn run(mut self, text: &str) -> String {
        self.out.reserve(text.len());
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
        self.out.push('"');
        if self.name_comes {
            self.name_comes = false;
            self.member = Member::named(inside);
            self.out.push_str(inside);
        } else if self.member.text_stays || is_moment(inside) {
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
        let digits = &text[..length];
        let shown =
            |digit: char| if self.member.number_tells && digit.is_ascii_digit() { '1' } else { digit };
        self.out.extend(digits.chars().map(shown));
        length
    }
}

impl Member {
    fn named(name: &str) -> Self {
        let is_annotation = name.contains('@');
        let is_address = TELLING_CODES.iter().any(|ending| name.ends_with(ending));
        Self {
            text_stays: is_annotation
                || (!is_address && KEPT_ENDINGS.iter().any(|ending| name.ends_with(ending))),
            number_tells: is_address || TELLING_NUMBERS.iter().any(|part| name.contains(part)),
        }
    }
}

/// A text of the same kind, and as long. Ones, because `11/11/1111` is a date and `1,111` a price.
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

/// `2026-03-01T12:00:00Z`, `2026-03-01`: the beginning of the one, and nothing else in it.
fn is_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_date = bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_date && bytes.len() <= 35 && bytes[10..].iter().all(|byte| b"0123456789T:.+-Z".contains(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_wrote_loses_its_letters_and_digits() {
        for (said, shown) in [
            (
                r#"{"ListAgentFullName": "Ann O'Hara", "ListPrice": 450000, "StandardStatus": "Active"}"#,
                r#"{"ListAgentFullName": "Xxx X'Xxxx", "ListPrice": 450000, "StandardStatus": "Active"}"#,
            ),
            (
                r#"{"ListingKey":"2024A","ModificationTimestamp":"2026-03-01T12:00:00Z","Seen":"2026-03-01"}"#,
                r#"{"ListingKey":"2024A","ModificationTimestamp":"2026-03-01T12:00:00Z","Seen":"2026-03-01"}"#,
            ),
            (
                r#"{"Latitude":-44.97,"StreetNumberNumeric":1200,"PostalCode":"55401","Code":1550}"#,
                r#"{"Latitude":-11.11,"StreetNumberNumeric":1111,"PostalCode":"11111","Code":1550}"#,
            ),
            (
                r#"{"Media":[{"MediaKey":"m1","MediaURL":"https://cdn/7.jpg"}],"City":"********"}"#,
                r#"{"Media":[{"MediaKey":"m1","MediaURL":"xxxxx://xxx/1.xxx"}],"City":"********"}"#,
            ),
            (
                r#"{"Appliances":["Oven",{"Type":"kept"},"Range \"A\"\n\u00e9é"],"@odata.nextLink":"https://h/a?b=C"}"#,
                r#"{"Appliances":["Xxxx",{"Type":"kept"},"Xxxxx \"X\"\n\u0078x"],"@odata.nextLink":"https://h/a?b=C"}"#,
            ),
            ("<html>Back soon</html>", "<html>Back soon</html>"),
        ] {
            assert_eq!(values(said), shown);
        }
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
        fn arbitrary_text_is_gone_through_to_its_end(text in "[\\[{]\\PC*") {
            let once = values(&text);
            prop_assert_eq!(values(&once), once, "what has a shape only keeps it");
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
