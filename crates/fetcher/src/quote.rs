//! The words of others, before they go into an error, a log line or a row.
//!
//! A server may repeat what it was sent, and it may say more than anybody can read. So whatever comes from
//! outside is quoted here: our secrets are taken out in every form in which servers are known to write them,
//! before anything is cut off, and what is left becomes one line of bounded length.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// More of somebody's words is not repeated.
const LIMIT: usize = 240;

/// More of them is not even searched for secrets: as much as an error's body may have.
const MOST_READ: usize = 64 * 1024;

/// What stands in a secret's place.
const MASK: &str = "[secret]";

/// Shorter than this, a text is no secret but a part of every word.
const SHORTEST: usize = 6;

/// What RFC 3986 never encodes.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The forms in which one secret may be repeated.
#[derive(Default)]
pub(crate) struct Forms {
    exact: Vec<SecretString>,
    /// The middle of a base64 text, which is the same whatever is encoded before and behind the secret.
    within_base64: Vec<SecretString>,
}

impl Forms {
    /// The forms of a token.
    pub(crate) fn of(secret: &str) -> Self {
        let quoted = serde_json::Value::from(secret).to_string();
        let mut exact = vec![secret.to_owned(), secret.to_ascii_lowercase()];
        exact.push(quoted[1..quoted.len() - 1].to_owned());
        for spared in [UNRESERVED, NON_ALPHANUMERIC] {
            let encoded = utf8_percent_encode(secret, spared).to_string();
            exact.push(lower_escapes(&encoded));
            exact.push(encoded);
        }
        exact.retain(|form| !form.is_empty() && (form == secret || form.len() >= SHORTEST));
        let mut within = Vec::new();
        for before in 0..3 {
            let bytes = [&[0; 2][..before], secret.as_bytes()].concat();
            // Whole groups of letters that the secret alone decides.
            let (from, to) = (4 * before.min(1), bytes.len() / 3 * 4);
            for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                within.extend(encoded.get(from..to).filter(|core| core.len() >= SHORTEST).map(str::to_owned));
            }
        }
        let hidden = |forms: Vec<String>| forms.into_iter().map(SecretString::from).collect();
        Self { exact: hidden(exact), within_base64: hidden(within) }
    }

    /// The forms of the password in a proxy's address.
    pub(crate) fn of_password(address: &Url) -> Self {
        let Some(encoded) = address.password() else { return Self::default() };
        let password = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy();
        let mut forms = Self::of(&password);
        forms.exact.push(encoded.into());
        forms
    }

    /// Whether a text holds one of them; a secret that is part of every word must be all of it.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        let mut forms = self.exact.iter().chain(&self.within_base64).map(ExposeSecret::expose_secret);
        forms.any(|form| if form.len() < SHORTEST { text == form } else { text.contains(form) })
    }

    fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in &self.exact {
            text = text.replace(form.expose_secret(), MASK);
        }
        for core in &self.within_base64 {
            while let Some(at) = text.find(core.expose_secret()) {
                let end = at + core.expose_secret().len();
                let from = text[..at]
                    .rfind(|c| !is_base64(c))
                    .map_or(0, |before| text.ceil_char_boundary(before + 1));
                let to = text[end..].find(|c| !is_base64(c)).map_or(text.len(), |behind| end + behind);
                text.replace_range(from..to, MASK);
            }
        }
        text
    }
}

/// Somebody's words as they may be repeated.
pub(crate) fn quote<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Forms>) -> String {
    let text = &text[..text.floor_char_boundary(MOST_READ)];
    one_line(&secrets.into_iter().fold(text.to_owned(), |text, forms| forms.hide(&text)))
}

/// One line of bounded length, whatever it was.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text.chars().take(LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LIMIT).is_some() {
        line.push('…');
    }
    line.trim().to_owned()
}

fn is_base64(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "+/-_=".contains(letter)
}

/// `%2F` as some write it, `%2f`.
fn lower_escapes(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        let (digits, rest) = piece.split_at(piece.len().min(2));
        text + "%" + &digits.to_ascii_lowercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = r#"tok"EN\/+%26&<i>='s3cr3t~of~Beaches"#;

    fn quoted(text: &str) -> String {
        quote(text, [&Forms::of(TOKEN), &Forms::default()])
    }

    #[test]
    fn a_secret_is_taken_out_in_every_form() {
        let encoded = STANDARD_NO_PAD.encode(format!("user:{TOKEN}"));
        for (said, shown) in [
            (format!("Bearer {TOKEN} is no good"), "Bearer [secret] is no good"),
            (format!("a={}&b", utf8_percent_encode(TOKEN, UNRESERVED)), "a=[secret]&b"),
            (
                format!("a={}&b", lower_escapes(&utf8_percent_encode(TOKEN, UNRESERVED).to_string())),
                "a=[secret]&b",
            ),
            (serde_json::json!([TOKEN]).to_string(), r#"["[secret]"]"#),
            (format!("Basic {encoded}== is no good"), "Basic [secret] is no good"),
            ("the words alone".to_owned(), "the words alone"),
        ] {
            assert_eq!(quoted(&said), shown);
        }
    }

    #[test]
    fn a_password_of_an_address_is_taken_out_as_written_and_as_meant() {
        let address = "http://guard:a%2Fb%20c%20d@proxy:3128".parse().unwrap();
        let forms = [&Forms::default(), &Forms::of_password(&address)];
        assert_eq!(quote("guard:a/b c d, guard:a%2Fb%20c%20d", forms), "guard:[secret], guard:[secret]");
    }

    #[test]
    fn a_long_message_is_one_short_line() {
        let said = quoted(&"a\nb".repeat(1_000));
        assert!(said.chars().count() <= LIMIT + 1 && !said.contains('\n'), "{said}");
    }

    #[test]
    fn words_without_end_cost_no_more_than_an_error() {
        let encoded = STANDARD_NO_PAD.encode(TOKEN);
        let began = std::time::Instant::now();
        assert!(quoted(&format!("{encoded} ").repeat(1_000_000)).starts_with("[secret] [secret]"));
        // Each secret is taken out by moving what is behind it.
        assert!(began.elapsed().as_secs() < 5, "it took {:?}", began.elapsed());
    }

    proptest! {
        #[test]
        fn what_is_cut_off_leaves_no_part_of_a_secret(before in 0..300_usize) {
            let said = quoted(&format!("{} {TOKEN} {TOKEN}", "x".repeat(before)));
            prop_assert!(!said.contains(&TOKEN[..4]), "{said}");
        }

        #[test]
        fn no_base64_of_anything_around_a_secret_shows_it(before in "[a-z:]{0,9}", behind in "[a-z:]{0,9}") {
            let encoded = URL_SAFE_NO_PAD.encode(format!("{before}{TOKEN}{behind}"));
            prop_assert_eq!(quoted(&format!("'{encoded}' é '{encoded}'")), "'[secret]' é '[secret]'");
        }

        #[test]
        fn any_words_can_be_quoted(words in "\\PC*", secret in "[!-~]{1,40}") {
            let forms = Forms::of(&secret);
            let said = quote(&format!("{words}{secret}{words}"), [&forms, &forms]);
            prop_assert!(said.chars().count() <= LIMIT + 1);
        }
    }
}
