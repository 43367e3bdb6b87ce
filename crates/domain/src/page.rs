//! One step through a query's results, as it came: a buffer, and where in it the records lie.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::Timestamp;

/// What a page says beside its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageHead {
    /// `@odata.nextLink`, absolute and of the feed's own origin. Absent on the last page, and only there.
    pub next: Option<String>,
    /// `@odata.count`, if asked for and given.
    pub count: Option<u64>,
    /// The `Date` header less the time since the request was first sent: no later than the moment at which the
    /// feed looked. Whole seconds.
    pub as_of: Option<Timestamp>,
    /// `$top` that this page was asked with.
    pub top: u32,
    /// The body's size in bytes, decompressed.
    pub bytes: usize,
    /// From sending the successful attempt to its last byte.
    pub took: Duration,
    /// Strings in the page that Postgres cannot hold (`\u0000`, lone surrogates, bad UTF-8), replaced by U+FFFD.
    pub scrubbed: usize,
    /// The feed said meanwhile that it is not in sync (1023, 1024, 2005), though it answered in the end.
    pub unsynced: bool,
}

/// A page: one buffer, the records as slices of it.
pub struct Page {
    /// What the page says beside its records.
    pub head: PageHead,
    text: String,
    records: Vec<Range<usize>>,
    /// Held as long as the page is: the share of the process' byte allowance that it occupies.
    allowance: Option<Box<dyn Any + Send + Sync>>,
}

impl Page {
    /// A page over `text`, whose records lie at `records`. `allowance` is dropped with the page.
    pub fn new(
        head: PageHead,
        text: String,
        records: Vec<Range<usize>>,
        allowance: Option<Box<dyn Any + Send + Sync>>,
    ) -> Self {
        Self { head, text, records, allowance }
    }

    /// The records' JSON, in the order in which the feed gave them.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &str> {
        self.records.iter().map(|range| &self.text[range.clone()])
    }

    /// Gives its share of the byte allowance back while the page is still held. Only for a question whose
    /// further pages must be asked for before this one can be dropped: two that wait for each other's bytes
    /// would wait for ever.
    pub fn give_back(&mut self) {
        self.allowance = None;
    }

    /// How many records the page has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the page has no record; with a link that is not the end.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("head", &self.head)
            .field("records", &self.records.len())
            .field("holds_allowance", &self.allowance.is_some())
            .finish_non_exhaustive()
    }
}
