//! Where a string ends, in JSON that may be broken.

/// A string of JSON.
pub(super) struct Quoted<'a> {
    /// With its quotation marks, or all that is left of the text if the last one is missing.
    pub(super) whole: &'a str,
    pub(super) inside: &'a str,
    pub(super) is_closed: bool,
}

impl<'a> Quoted<'a> {
    /// The string that begins here, with a quotation mark.
    pub(super) fn at(text: &'a str) -> Self {
        let mut escaped = false;
        let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        match end {
            Some((at, _)) => Self { whole: &text[..=at], inside: &text[1..at], is_closed: true },
            None => Self { whole: text, inside: &text[1..], is_closed: false },
        }
    }
}
