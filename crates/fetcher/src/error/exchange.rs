//! Where a question failed, and what the feed said: the part that all errors share.

use std::fmt;

use spark_domain::FeedName;

use super::table;

/// The exchange that failed, as far as it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Whose feed.
    pub feed: FeedName,
    /// What was asked: an entity set's name, or `metadata`.
    pub endpoint: &'static str,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Spark's own code, if the answer carried one.
    pub code: Option<i64>,
    /// The answer's `x-request-id`, which FBS's support asks for.
    pub request_id: Option<String>,
    /// The feed's own words, shortened.
    pub message: Option<String>,
    /// Whether the feed said on the way that it is not in sync with its source.
    pub unsynced: bool,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "feed {}, {}", self.feed, self.endpoint)?;
        if let Some(status) = self.status {
            write!(f, ": HTTP {status}")?;
        }
        if let Some(code) = self.code {
            write!(f, ", Spark code {code}")?;
            if let Some(meaning) = table::meaning(code) {
                write!(f, " ({meaning})")?;
            }
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ", {message:?}")?;
        }
        Ok(())
    }
}
