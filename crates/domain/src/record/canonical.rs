//! The canonical form of a record, and its hash: what makes "nothing changed" true.
//!
//! Members are sorted by name and the last of a name wins; strings are unescaped; numbers are normalised as
//! decimal text, never through a float; arrays of scalars are sorted, since multi-selects have no order; null
//! is absent; `@odata.*` does not count at any depth. Every part carries its length, so that no two different
//! records share a form.

use std::fmt;

use serde_json::value::RawValue;

use super::members::{Elements, Members};
use super::{RejectReason, is_noise, number};

/// The version of the recipe. A new one re-hashes what is stored and must not look like a change of content.
pub const HASH_RECIPE: i32 = 1;

/// No real record nests deeper than three; Postgres' own JSON parser gives up in the thousands.
const DEEPEST: usize = 64;

/// 128 bits over the canonical form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 16]);

impl Hash {
    /// The hash of a text that is no record, such as `$metadata`.
    pub fn of_document(text: &str) -> Self {
        Self::short(text.as_bytes())
    }

    fn short(bytes: &[u8]) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
        Self(short)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The hash of an object, of those members that are kept.
pub(super) fn hash(members: &Members<'_>, keep: impl Fn(&str) -> bool) -> Result<Hash, RejectReason> {
    let mut form = Vec::with_capacity(4096);
    object(members, &keep, 0, &mut form)?;
    Ok(Hash::short(&form))
}

fn object(
    members: &Members<'_>,
    keep: &dyn Fn(&str) -> bool,
    depth: usize,
    form: &mut Vec<u8>,
) -> Result<(), RejectReason> {
    if depth == DEEPEST {
        return Err(RejectReason::TooDeep { limit: DEEPEST });
    }
    let mut sorted: Vec<_> = members.iter().filter(|(name, _)| keep(name)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    form.push(b'{');
    for (at, (name, raw)) in sorted.iter().enumerate() {
        // The sort is stable: the last of equal names is the one that is not followed by its like.
        let superseded = sorted.get(at + 1).is_some_and(|(next, _)| next == name);
        if !superseded && raw.get() != "null" {
            sized(b'k', name.as_bytes(), form);
            value(raw, depth + 1, form)?;
        }
    }
    form.push(b'}');
    Ok(())
}

fn value(raw: &RawValue, depth: usize, form: &mut Vec<u8>) -> Result<(), RejectReason> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => string(text, form),
        Some(b'{') => object(&Members::read(text)?, &|name| !is_noise(name), depth, form),
        Some(b'[') => array(text, depth, form),
        Some(b't' | b'f' | b'n') => {
            form.push(text.as_bytes()[0]);
            Ok(())
        }
        _ => {
            let number = number::normalise(text)
                .ok_or_else(|| RejectReason::Unreadable(format!("number {text:.80}")))?;
            sized(b'#', number.to_string().as_bytes(), form);
            Ok(())
        }
    }
}

fn string(text: &str, form: &mut Vec<u8>) -> Result<(), RejectReason> {
    let plain = &text[1..text.len() - 1];
    if memchr::memchr(b'\\', plain.as_bytes()).is_none() {
        sized(b's', plain.as_bytes(), form);
    } else {
        let unescaped: String =
            serde_json::from_str(text).map_err(|error| RejectReason::Unreadable(error.to_string()))?;
        sized(b's', unescaped.as_bytes(), form);
    }
    Ok(())
}

fn array(text: &str, depth: usize, form: &mut Vec<u8>) -> Result<(), RejectReason> {
    if depth == DEEPEST {
        return Err(RejectReason::TooDeep { limit: DEEPEST });
    }
    let Elements(elements) = Elements::read(text)?;
    // One buffer for all: a buffer for each would take many times the memory of a list of short numbers.
    let (mut forms, mut ends) = (Vec::new(), Vec::with_capacity(elements.len()));
    for element in &elements {
        value(element, depth + 1, &mut forms)?;
        ends.push(forms.len());
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let mut parts: Vec<&[u8]> = starts.zip(&ends).map(|(start, end)| &forms[start..*end]).collect();
    if elements.iter().all(|element| !element.get().starts_with(['{', '['])) {
        parts.sort_unstable();
    }
    form.push(b'[');
    for part in parts {
        form.extend_from_slice(part);
    }
    form.push(b']');
    Ok(())
}

fn sized(tag: u8, bytes: &[u8], form: &mut Vec<u8>) {
    form.push(tag);
    form.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    form.extend_from_slice(bytes);
}
