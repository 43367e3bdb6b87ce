//! The identity of a record.
//!
//! Usually 26 digits, too many for any integer, and in data shares not digits at all (`3yd-ABC-12345678`):
//! a key is text, compared byte by byte, as column `key text collate "C"` does.

use std::fmt;

/// A record's key: 1 to 512 bytes without NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(Box<str>);

/// The text cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key must have 1 to 512 bytes and no NUL; this one has {length} bytes")]
pub struct BadKey {
    length: usize,
}

impl RecordKey {
    /// The key, if the text can be one.
    pub fn new(text: &str) -> Result<Self, BadKey> {
        if (1..=512).contains(&text.len()) && !text.contains('\0') {
            Ok(Self(text.into()))
        } else {
            Err(BadKey { length: text.len() })
        }
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for RecordKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Lets a set of keys be asked with a plain `&str`.
impl std::borrow::Borrow<str> for RecordKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}
