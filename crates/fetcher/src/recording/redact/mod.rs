//! Takes secrets out of an answer, and what people wrote, and leaves its shape.
//!
//! A page is gone through byte by byte and not parsed: what is wrong with it is what it is recorded for. So
//! everything but the inside of values stays, in broken JSON too, and the same page is always made the same. What
//! is not known to be harmless is taken out; what is no JSON keeps no letter. And where a page stops to be JSON,
//! names and places promise nothing any more: a quotation mark too few makes what people wrote stand between strings.

mod kept;
mod secret;
mod string;

use std::sync::Arc;

use kept::Member;
use secret::MASK;
pub(super) use secret::mask;
use string::Quoted;

use super::Values;
use crate::envelope::is_html;
use crate::quote::Forms;

/// An answer as it may be recorded.
pub(super) fn redacted(text: &str, values: Values, secrets: &[Arc<Forms>]) -> String {
    // That it was HTML decides how it is taken.
    let html = if is_html(text.as_bytes()) { "<html>" } else { "" };
    let is_json = from_first_sign(text).starts_with(['{', '[']);
    let text = if is_json { secret::without(text, secrets) } else { secret::masked(text, secrets) };
    match values {
        _ if text == MASK => html.to_owned() + MASK,
        Values::Kept => text,
        Values::Redacted if is_json => Redactor::new().run(&text),
        Values::Redacted => {
            let mut out = html.to_owned();
            shape(&text, &mut out);
            out
        }
    }
}

fn from_first_sign(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim_start()
}

struct Redactor {
    out: String,
    levels: Vec<Level>,
    /// The member whose value comes.
    member: Member,
    name_comes: bool,
    /// Whether it has been JSON so far.
    is_json: bool,
}

struct Level {
    is_object: bool,
    /// Whose value this object or list is.
    member: Member,
}

impl Redactor {
    fn new() -> Self {
        Self {
            out: String::new(),
            levels: Vec::new(),
            member: Member::root(),
            name_comes: false,
            is_json: true,
        }
    }

    fn run(mut self, text: &str) -> String {
        self.out.reserve(text.len());
        let mut rest = from_first_sign(text);
        self.out.push_str(&text[..text.len() - rest.len()]);
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '"' => self.string(rest),
                '{' | '}' | '[' | ']' | ',' | ':' => {
                    self.structure(first);
                    self.out.push(first);
                    1
                }
                _ if first.is_ascii_whitespace() => {
                    self.out.push(first);
                    1
                }
                _ => self.unquoted(rest),
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
                let level = self.levels.pop();
                self.is_json &= level.as_ref().is_some_and(|level| level.is_object == (sign == '}'));
                self.member = level.map(|level| level.member).unwrap_or_default();
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
        let Quoted { whole, inside, is_closed } = Quoted::at(text);
        let is_name = std::mem::take(&mut self.name_comes);
        let behind = text[whole.len()..].trim_ascii_start().chars().next();
        self.is_json &= match behind {
            Some(':') => is_name,
            Some(',' | '}' | ']') => !is_name,
            Some(_) => false,
            None => true,
        };
        let is_name = is_name && behind == Some(':');
        if is_name {
            self.member =
                Member::named(inside, self.levels.last().map(|level| level.member).unwrap_or_default());
        }
        let stays = match self.is_json {
            true if is_name => true,
            true => is_closed && self.member.keeps_text(inside),
            // Where words may be names only what no people write is one.
            false => {
                is_name && inside.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_@.".contains(&byte))
            }
        };
        self.out.push('"');
        if stays || inside == MASK {
            self.out.push_str(inside);
        } else {
            shape(inside, &mut self.out);
        }
        if is_closed {
            self.out.push('"');
        }
        whole.len()
    }

    /// What stands outside of strings: numbers and three words, or the page is no JSON; how long it is.
    fn unquoted(&mut self, text: &str) -> usize {
        let ends = |sign: char| sign.is_ascii_whitespace() || "{}[],:\"".contains(sign);
        let run = &text[..text.find(ends).unwrap_or(text.len())];
        let is_number = kept::is_number(run);
        let is_word = ["true", "false", "null"].contains(&run);
        self.is_json &= is_number || is_word;
        if is_word || (is_number && self.is_json && self.member.keeps_number()) {
            self.out.push_str(run);
        } else if is_number {
            self.out.extend(run.chars().map(|sign| if sign.is_ascii_digit() { '1' } else { sign }));
        } else {
            shape(run, &mut self.out);
        }
        run.len()
    }
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
            (
                r#"{"value":[{"ListPrice":"525000.00","PhotosCount":"12","Latitude":"-44.97"}],"@odata.count":"2876"}"#,
                r#"{"value":[{"ListPrice":"525000.00","PhotosCount":"12","Latitude":"-11.11"}],"@odata.count":"2876"}"#,
            ),
            (
                r#"{"D":{"Pagination":{"TotalRows":"2876"},"Results":[{"CustomFields":[{"Key":"A1984","Gate Price":7}]}]}}"#,
                r#"{"D":{"Pagination":{"TotalRows":"2876"},"Results":[{"CustomFields":[{"Key":"X1111","Gate Price":1}]}]}}"#,
            ),
            (
                r#"{"Key":"under the mat, gate 1984","Call @ Office":"Bob Hara 555-0142","Date":"ask Ann Hara"}"#,
                r#"{"Key":"xxxxx xxx xxx, xxxx 1111","Call @ Office":"Xxx Xxxx 111-1111","Date":"xxx Xxx Xxxx"}"#,
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
    fn what_stands_outside_of_strings_is_no_less_redacted() {
        for (said, shown) in [
            (
                r#"{error: invalid token abcdefgh, "hint": "ask Bob", "code": 1515}"#,
                r#"{xxxxx: xxxxxxx xxxxx xxxxxxxx, "hint": "xxx Xxx", "code": 1111}"#,
            ),
            (
                r#"{"value":[{"ListingKey":"7","Remarks":"She said "call Ann Hara, gate code A1984…" now","ListPrice":5}]}"#,
                r#"{"value":[{"ListingKey":"7","Remarks":"Xxx xxxx "xxxx Xxx Xxxx, xxxx xxxx X1111x" xxx","ListPrice":1}]}"#,
            ),
            (
                r#"{"Remarks":"He said "no", "call Bob Hara", "Key":"A1984"} ,"Message":"Bob""#,
                r#"{"Remarks":"Xx xxxx "xx", "xxxx Xxx Xxxx", "Xxx":"X1111"} ,"Xxxxxxx":"Xxx""#,
            ),
            (r#"{'City':'Ann', "Key":NaN}"#, r#"{'Xxxx':'Xxx', "Key":XxX}"#),
            (r#"{"a":true,"b":[false,null,-1.5e3]}"#, r#"{"a":true,"b":[false,null,-1.1e1]}"#),
            ("\u{feff} {\"ListPrice\":7}", "\u{feff} {\"ListPrice\":7}"),
        ] {
            assert_eq!(values(said), shown);
        }
        let said = r#"{"a": NaN, b: "C d"}"#;
        assert_eq!(redacted(said, Values::Kept, &[]), said, "it is recorded for what is wrong with it");
    }

    #[test]
    fn a_secret_outside_of_strings_takes_the_whole_answer_along() {
        let both = [Values::Kept, Values::Redacted];
        for secret in ["s3cr3t-TOKEN-abcdef", "lettersonly", "1984198419", r#"tok"EN s3cr3t"#] {
            let secrets = [Arc::new(Forms::of(secret))];
            for said in [
                format!(r#"{{error: invalid token Bearer {secret}, "hint": "ask Bob"}}"#),
                format!(r#"{{"error": {secret}}}"#),
                format!(r#"["a" "{secret} {secret}, "hint": "ask Bob"}}"#),
                format!(r#"[{{"Remarks":"She said "call {secret}" now"}}]"#),
                format!("[{}", secret.replace('"', "\\u0022")),
            ] {
                for values in both {
                    let shown = redacted(&said, values, &secrets);
                    assert!(
                        !shown.contains(secret) && !shown.contains("EN s3"),
                        "{values:?} {said}: {shown}"
                    );
                }
            }
            let name = serde_json::json!({ format!("a {secret}"): 1, "ListPrice": 2 }).to_string();
            for values in both {
                let shown = redacted(&name, values, &secrets);
                assert!(shown.contains(r#""[secret]":1"#) && shown.contains(r#""ListPrice":2"#), "{shown}");
            }
            assert_eq!(redacted(&format!("<p>{secret}</p>"), Values::Redacted, &secrets), "<html>[secret]");
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
