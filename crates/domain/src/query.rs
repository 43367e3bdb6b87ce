//! What to ask a feed for, before any URL exists. The dialects of the fetcher spell it.

use crate::{MediaPart, RecordKey, Relation, Resource, Timestamp};

/// A question about one resource.
///
/// The feed's own `filter` is not in here: the fetcher adds it to every question, so that a sweep, a count and
/// a confirmation can never be asked about a different set than the download was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The entity set.
    pub resource: Resource,
    /// Which of its records.
    pub filter: Filter,
    /// Which fields; empty means all.
    pub select: Vec<&'static str>,
    /// Which relations come along.
    pub expand: Vec<Relation>,
    /// Parts of `Media` that do not come along with it, where a dialect has parts.
    pub omit: Vec<MediaPart>,
    /// Whether the first page shall say how many records there are.
    pub count: bool,
}

/// Which records of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All that the key's role may see.
    All,
    /// `ModificationTimestamp gt after [and le until]`: the guide's form, whole seconds in UTC.
    Modified {
        /// Exclusive lower bound.
        after: Timestamp,
        /// Inclusive upper bound; none for the last slice.
        until: Option<Timestamp>,
    },
    /// Exactly these keys.
    Keys(Vec<RecordKey>, KeyListForm),
}

/// How a list of keys is spelled; tried in this order if a server refuses or misreads one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyListForm {
    /// `Key in ('a','b')`.
    In,
    /// `Key eq 'a' or Key eq 'b'`.
    EqOr,
    /// `Resource('a')`, one request a key.
    Single,
}

impl KeyListForm {
    /// The form to try when this one was refused or misread.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::In => Some(Self::EqOr),
            Self::EqOr => Some(Self::Single),
            Self::Single => None,
        }
    }
}

impl Query {
    /// The whole collection, as the initial download asks for it: nothing but `$top` and `$count`
    /// (replication guide, step 1: no other parameters should be specified).
    pub fn collection(resource: Resource) -> Self {
        Self {
            resource,
            filter: Filter::All,
            select: Vec::new(),
            expand: Vec::new(),
            omit: Vec::new(),
            count: true,
        }
    }

    /// The keys of the whole collection.
    pub fn key_list(resource: Resource) -> Self {
        Self { select: vec![resource.key_field()], ..Self::collection(resource) }
    }

    /// What changed in a window.
    pub fn modified(
        resource: Resource,
        after: Timestamp,
        until: Option<Timestamp>,
        expand: Vec<Relation>,
    ) -> Self {
        Self { filter: Filter::Modified { after, until }, expand, count: false, ..Self::collection(resource) }
    }
}
