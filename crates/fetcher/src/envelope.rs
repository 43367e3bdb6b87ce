//! What the envelopes of both dialects have in common: one buffer in, the places of its records out.
//!
//! An envelope is read by borrowing; a record is never decoded here, only found. What Postgres cannot hold is
//! replaced before anything is found, so that the places stay true.

use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spark_domain::record::scrub_in_place;

use crate::error::body::{self, Said};
use crate::quote::one_line;

/// No page is asked for with more than 1,000 records; a server that takes no notice may still send a list whole.
/// Places alone must not take more memory than the page.
const MOST_RECORDS: usize = 200_000;

/// No list has more. Taken as no count at all, it would make the shortest list a whole one.
const GREATEST_COUNT: u64 = 1_000_000_000_000;

/// A page as it came.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) text: String,
    pub(crate) records: Vec<Range<usize>>,
    /// The link as given.
    pub(crate) next: Option<String>,
    pub(crate) count: Option<u64>,
    /// Strings that had to be changed.
    pub(crate) scrubbed: usize,
}

impl Envelope {
    /// The page for a record that is not there.
    pub(crate) fn empty() -> Self {
        Self { text: String::new(), records: Vec::new(), next: None, count: None, scrubbed: 0 }
    }
}

/// The elements of the envelope's list, found and not read.
pub(crate) struct Records<'a>(pub(crate) Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Records<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST_RECORDS} records")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Self::Value, S::Error> {
                let mut records = Vec::new();
                while let Some(record) = sequence.next_element()? {
                    if records.len() == MOST_RECORDS {
                        return Err(de::Error::invalid_length(records.len() + 1, &self));
                    }
                    records.push(record);
                }
                Ok(records)
            }
        }
        deserializer.deserialize_seq(Collect).map(Self)
    }
}

/// Why an answer of success is not the answer to the question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is no answer at all: HTML, nothing, cut short.
    Malformed(String),
    /// It is an error in an answer's clothes.
    Refusal(Said),
    /// Its link leads to another origin.
    ForeignLink(String),
}

impl Unread {
    /// It is no answer at all. A problem may quote names of any length: it goes into log lines and rows as one
    /// short line.
    pub(crate) fn malformed(problem: &str) -> Self {
        Self::Malformed(one_line(problem))
    }

    /// An error envelope under a status of success; `otherwise` is the problem if it names no failure.
    pub(crate) fn refusal(json: &str, otherwise: &str) -> Self {
        body::read(json.as_bytes()).map_or_else(|| Self::malformed(otherwise), Self::Refusal)
    }
}

/// Whether a body is written for people. A 404 of that kind comes from a proxy and says nothing about a record.
pub(crate) fn is_html(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'<')
}

/// A body as text, and how many strings had to be changed.
pub(crate) fn decode(mut bytes: Vec<u8>) -> Result<(String, usize), Unread> {
    if bytes.trim_ascii().is_empty() {
        return Err(Unread::malformed("it is empty"));
    }
    if is_html(&bytes) {
        return Err(Unread::malformed("it is HTML or XML instead of JSON"));
    }
    let mut scrubbed = scrub_in_place(&mut bytes);
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        let bytes = error.into_bytes();
        scrubbed += bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    if !object(&text).trim_start().starts_with('{') {
        return Err(Unread::malformed("it is no JSON object"));
    }
    Ok((text, scrubbed))
}

/// The JSON of a text, without a mark of its encoding.
pub(crate) fn object(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Reads the whole of a JSON text.
pub(crate) fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Unread> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let wire = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        Unread::malformed(&match error.path().to_string().as_str() {
            "." | "?" => error.inner().to_string(),
            path => format!("{} at {path}", error.inner()),
        })
    })?;
    reader.end().map_err(|error| Unread::malformed(&error.to_string()))?;
    Ok(wire)
}

/// A count as it was given: perhaps as a text, or as a float without a fraction. What is none counts nothing;
/// `name` says which member it was.
pub(crate) fn count(given: Option<&RawValue>, name: &str) -> Result<Option<u64>, Unread> {
    let whole_number = |raw: &str| {
        let digits = raw.trim_matches('"');
        digits.strip_suffix(".0").unwrap_or(digits).parse().ok()
    };
    match given.and_then(|raw| whole_number(raw.get())) {
        Some(count) if count > GREATEST_COUNT => {
            Err(Unread::malformed(&format!("its {name} counts more than there are")))
        }
        count => Ok(count),
    }
}
