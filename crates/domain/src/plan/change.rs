//! What a served copy of a record means for the copy we hold: time does not run backwards, and equal content
//! is not written again.

use crate::{Breakage, Hash, Timestamp};

/// What we hold of a record, as far as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The canonical hash of the stored body.
    pub hash: Hash,
    /// ModificationTimestamp of the stored body.
    pub modified_at: Option<Timestamp>,
}

/// What to do with a served copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// We do not have the record.
    Insert,
    /// It differs and is not older.
    Update,
    /// It is what we hold: nothing is written.
    Unchanged,
    /// It differs and carries an older stamp: a stale cache, or a rewind that by-key reads must confirm.
    Older,
}

/// Decides what a served copy means.
pub fn decide(stored: Option<&Stored>, hash: Hash, modified_at: Option<Timestamp>) -> Change {
    match stored {
        None => Change::Insert,
        Some(stored) if stored.hash == hash => Change::Unchanged,
        Some(stored) => match (stored.modified_at, modified_at) {
            (Some(ours), Some(theirs)) if theirs < ours && !Breakage::OlderOverNewer.is_on() => Change::Older,
            _ => Change::Update,
        },
    }
}
