//! A walk through all pages of a query, to its proper end; resumable at any page.
//!
//! A little state machine without IO: [`Walk::next`] says what to ask for, [`Walk::arrived`] takes what came.
//! The link is opaque and followed verbatim. A walk ends well only by a page without a link (or, paging by
//! key, by an empty page); everything else that could stop it is a failure and says so, because a list cut
//! short looks like a mass removal.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::{PageHead, RecordKey, Timestamp};

/// Pages in a row without a record before a walk is given up.
const MOST_EMPTY_PAGES: u32 = 100;
/// Empty pages in a row, each with a link, that are taken for the end where pages are asked for by key.
const MOST_DOUBTFUL_ENDS: u32 = 5;

/// Pages of a walk whose length nobody knows: no feed has a hundred million records.
const MOST_PAGES: u32 = 100_000;

/// A walk's durable state. Everything but the set of links seen is kept in its checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    /// By Postgres' clock, when the walk began: margins of the purge are counted from here.
    pub began_at: Timestamp,
    /// By the feed's clock, when the first page was asked for; it becomes the cursor. None before that page.
    pub as_of: Option<Timestamp>,
    /// Exclusive lower and inclusive upper bound of ModificationTimestamp, for updates and look-backs.
    pub window: Option<(Timestamp, Option<Timestamp>)>,
    /// Where it stands.
    pub position: Position,
    /// `$top` to ask with next.
    pub top: u32,
    /// `@odata.count` of the first page.
    pub expected: Option<u64>,
    /// Pages taken so far.
    pub pages: u32,
    /// Records on them.
    pub records: u64,
    /// Whether the feed ever said that it is not in sync (1023, 1024, 2005) during this walk.
    pub unsynced: bool,
    /// How often it had to start over because a continuation was refused.
    pub restarts: u32,
    /// Pages in a row, up to now, without a record.
    pub empty_in_a_row: u32,
    /// The last key so far, as long as the records came in the order of their keys.
    pub last: Option<RecordKey>,
    /// Digests of the links followed. Not kept over a restart: the count of pages still bounds a circle.
    pub links: HashSet<u64>,
}

/// Where a walk stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Before the first page.
    Start,
    /// The next page is behind this link.
    Link(String),
    /// The next page begins after this key (`paging = "key"`).
    After(RecordKey),
    /// The last page has arrived.
    End,
}

/// How a feed's collections are paged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// `@odata.nextLink`, as Spark offers it.
    NextLink,
    /// `<key> gt 'last'` with `$orderby=<key>`, for servers that list in no order.
    Key,
}

/// Why a walk cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalkFailed {
    /// A link came twice: it leads in a circle.
    #[error("the feed's nextLink came a second time after {pages} pages; the list leads in a circle")]
    RepeatedLink {
        /// Pages taken until then.
        pages: u32,
    },
    /// Page after page without a record.
    #[error("{MOST_EMPTY_PAGES} pages in a row held no record; the list does not end")]
    EmptyPages,
    /// No count, and no end.
    #[error("{MOST_PAGES} pages were read and the feed never said how many there are; the list does not end")]
    Endless,
    /// More than twice the pages that the count promised.
    #[error(
        "{pages} pages were read where {expected} records promise at most {promised}; the list does not end"
    )]
    TooManyPages {
        /// Pages taken.
        pages: u32,
        /// `@odata.count` at the start.
        expected: u64,
        /// Twice the pages that hold that many.
        promised: u64,
    },
    /// The list ended, but short of the feed's own count.
    #[error("the list ended after {records} records where the feed's $count promises {expected}")]
    Short {
        /// Records on the list.
        records: u64,
        /// `@odata.count` of the first page.
        expected: u64,
    },
    /// Paging by key, but the page is not in ascending order of its keys.
    #[error(
        "key {key} came after a greater one: the feed ignores $orderby, or orders keys by a language's rules and \
         not by bytes; it cannot be paged by key"
    )]
    Unordered {
        /// The key that stands too late.
        key: RecordKey,
    },
}

impl Walk {
    /// A walk that has not asked for anything yet.
    pub fn begin(began_at: Timestamp, window: Option<(Timestamp, Option<Timestamp>)>, top: u32) -> Self {
        Self {
            began_at,
            as_of: None,
            window,
            position: Position::Start,
            top,
            expected: None,
            pages: 0,
            records: 0,
            unsynced: false,
            restarts: 0,
            empty_in_a_row: 0,
            last: None,
            links: HashSet::new(),
        }
    }

    /// What to ask for next; none once the walk is at its end.
    pub fn next(&self) -> Option<&Position> {
        match &self.position {
            Position::End => None,
            position => Some(position),
        }
    }

    /// Whether the last page has arrived.
    pub fn is_finished(&self) -> bool {
        self.position == Position::End
    }

    /// The walk after a page: `keys` are the keys on it, in the order given, of the records that have one.
    pub fn arrived(
        mut self,
        head: &PageHead,
        keys: &[&RecordKey],
        paging: Paging,
    ) -> Result<Self, WalkFailed> {
        let records = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        if self.pages == 0 {
            self.as_of = head.as_of;
            self.expected = head.count;
        }
        self.last = self.last_in_order(keys);
        self.pages += 1;
        self.records += records;
        self.unsynced |= head.unsynced;
        self.empty_in_a_row = if records == 0 { self.empty_in_a_row + 1 } else { 0 };
        self.position = match paging {
            Paging::NextLink => match &head.next {
                None => Position::End,
                Some(link) => self.follow(link)?,
            },
            Paging::Key => self.after_keys(keys, head.next.is_some())?,
        };
        if self.position != Position::End {
            self.check_bounds(head.top)?;
        }
        Ok(self)
    }

    /// Whether the finished list is as long as the feed promised, less ten records or one percent that may have
    /// left meanwhile. A list that ends short is no success.
    pub fn check_length(&self) -> Result<(), WalkFailed> {
        match self.expected {
            Some(expected) if self.records + (expected / 100).max(10) < expected => {
                Err(WalkFailed::Short { records: self.records, expected })
            }
            _ => Ok(()),
        }
    }

    /// The walk from its start again, since its continuation is refused. What has been committed stays, and
    /// costs little the second time, because equal hashes write nothing.
    pub fn start_over(self, began_at: Timestamp) -> Self {
        let restarts = self.restarts + 1;
        Self { restarts, ..Self::begin(began_at, self.window, self.top) }
    }

    /// Where the record stands that broke the page: behind the last key. None where the records did not come in
    /// the order of their keys, so that a key says nothing about what was read.
    pub fn behind_last(&self) -> Option<Position> {
        match &self.last {
            Some(key) => Some(Position::After(key.clone())),
            None => (self.records == 0).then_some(Position::Start),
        }
    }

    fn last_in_order(&self, keys: &[&RecordKey]) -> Option<RecordKey> {
        if self.records > 0 && self.last.is_none() {
            return None;
        }
        let mut last = self.last.as_ref();
        for key in keys {
            if last.is_some_and(|last| last > *key) {
                return None;
            }
            last = Some(key);
        }
        last.cloned()
    }

    fn follow(&mut self, link: &str) -> Result<Position, WalkFailed> {
        // The value of `$top` may be rewritten on the way, so the link is compared as the feed gave it.
        let digest = blake3::hash(link.as_bytes());
        let mut short = [0; 8];
        short.copy_from_slice(&digest.as_bytes()[..8]);
        if self.links.insert(u64::from_le_bytes(short)) {
            Ok(Position::Link(link.to_owned()))
        } else {
            Err(WalkFailed::RepeatedLink { pages: self.pages })
        }
    }

    /// An empty page that says there is more is a fault of the server, and asked for again, until it is clear that
    /// this one says so at every end.
    fn after_keys(&self, keys: &[&RecordKey], says_more: bool) -> Result<Position, WalkFailed> {
        let mut last = match &self.position {
            Position::After(key) => Some(key),
            _ => None,
        };
        for key in keys {
            if last.is_some_and(|last| last >= *key) {
                return Err(WalkFailed::Unordered { key: (*key).clone() });
            }
            last = Some(key);
        }
        match keys.last() {
            Some(key) => Ok(Position::After((*key).clone())),
            None if says_more && self.empty_in_a_row < MOST_DOUBTFUL_ENDS => Ok(self.position.clone()),
            None => Ok(Position::End),
        }
    }

    fn check_bounds(&self, top: u32) -> Result<(), WalkFailed> {
        if self.empty_in_a_row >= MOST_EMPTY_PAGES {
            return Err(WalkFailed::EmptyPages);
        }
        if self.expected.is_none() && self.pages > MOST_PAGES {
            return Err(WalkFailed::Endless);
        }
        if let Some(expected) = self.expected {
            // Pages shrink under way, so the smallest size counts; a short list gets some slack.
            let promised = 2 * expected.div_ceil(u64::from(top.clamp(1, 25))) + 20;
            if u64::from(self.pages) > promised {
                return Err(WalkFailed::TooManyPages { pages: self.pages, expected, promised });
            }
        }
        Ok(())
    }
}
