//! Takes our secrets out of an answer, wherever it repeats them.

use std::sync::Arc;

use super::string::Quoted;
use crate::quote::Forms;

/// What stands in the place of a text that repeats a secret.
pub(super) const MASK: &str = "[secret]";
/// How often servers write JSON within JSON.
const DEEPEST_ESCAPES: usize = 4;

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
