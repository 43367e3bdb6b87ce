//! The RESO Web API dialect: how questions are spelled, and how answers are read.
//!
//! Nothing here sends anything or waits for anything: text goes in, text or ranges come out. A second dialect
//! would stand beside this folder with the same functions.

pub(crate) mod url;
pub(crate) mod wire;
pub(crate) mod metadata;

/// Why an answer of success is not the answer to the question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is no answer at all: HTML, nothing, cut short.
    Malformed(String),
    /// It is an error in an answer's clothes.
    Refusal(crate::error::body::Said),
    /// Its link leads to another origin.
    ForeignLink(String),
}

impl Unread {
    /// It is no answer at all. A problem may quote names of any length: it goes into log lines and rows as one
    /// short line.
    pub(crate) fn malformed(problem: &str) -> Self {
        Self::Malformed(crate::quote::one_line(problem))
    }
}
