//! Takes our secrets out of an answer, wherever it repeats them.

use std::sync::Arc;

use super::string::Quoted;
use crate::quote::Forms;

/// What stands in the place of a text that repeats a secret.
pub(super) const MASK: &str = "[secret]";
/// How often servers write JSON within JSON.
const DEEPEST_ESCAPES: usize = 4;
/// Bytes that are looked through at once.
const PIECE: usize = 512 * 1024;
/// Bytes that are looked through twice: longer than any token under escapes.
const OVERLAP: usize = 64 * 1024;

/// A body of JSON, broken or not, without secrets. A string goes that repeats one, be it a name or a value; and if
/// one stands elsewhere, or across the strings, all of it goes: where quotation marks are amiss they bound nothing.
pub(super) fn without(text: &str, secrets: &[Arc<Forms>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        out.push_str(&rest[..at]);
        let quoted = Quoted::at(&rest[at..]);
        if repeats_a_secret(quoted.inside, secrets) {
            out.extend(["\"", MASK, if quoted.is_closed { "\"" } else { "" }]);
        } else {
            out.push_str(quoted.whole);
        }
        rest = &rest[at + quoted.whole.len()..];
    }
    out.push_str(rest);
    mask(&mut out, secrets);
    out
}

/// A text, or nothing of it if it repeats a secret.
pub(super) fn masked(text: &str, secrets: &[Arc<Forms>]) -> String {
    if repeats_a_secret(text, secrets) { MASK.to_owned() } else { text.to_owned() }
}

/// Takes a text away that repeats a secret.
pub(in crate::recording) fn mask(text: &mut String, secrets: &[Arc<Forms>]) {
    if repeats_a_secret(text, secrets) {
        MASK.clone_into(text);
    }
}

/// Whether a text holds a secret, as it is or under escapes. Looked through piece by piece: unescaping a page as a
/// whole would take its size in memory once more.
fn repeats_a_secret(text: &str, secrets: &[Arc<Forms>]) -> bool {
    let mut from = 0;
    loop {
        let to = text.ceil_char_boundary(from + PIECE);
        if piece_repeats_a_secret(&text[from..to], secrets) {
            return true;
        }
        if to == text.len() {
            return false;
        }
        from = text.floor_char_boundary(to - OVERLAP);
    }
}

fn piece_repeats_a_secret(text: &str, secrets: &[Arc<Forms>]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_a_long_text_is_cut() {
        let secrets = [Arc::new(Forms::of("s3cr3t/Of+Beaches"))];
        for before in (PIECE - 40..PIECE + 40).step_by(7).chain([0, 1, PIECE - OVERLAP, 2 * PIECE]) {
            for said in ["s3cr3t/Of+Beaches", r"s3cr3t\u002fOf\u002BBeaches"] {
                let text = format!("{}{said}{}", "é ".repeat(before / 3), "x".repeat(PIECE));
                assert!(repeats_a_secret(&text, &secrets), "{said} behind {before} bytes");
            }
        }
        assert!(!repeats_a_secret(&"s3cr3t/Of ".repeat(PIECE / 5), &secrets));
        let short = [Arc::new(Forms::of("tok"))];
        assert!(repeats_a_secret("tok", &short) && !repeats_a_secret("token", &short));
    }
}
