//! What a by-key read settles: rewinds, returned keys, missing keys.
//!
//! A copy with an older stamp is usually a stale cache. It is a true rewind if two by-key reads, a cache window
//! apart, both show the same older content while we hold the same: a copy that reached us in between makes the
//! first read a sighting of its past. A purged key that comes back without a newer stamp is believed
//! once a by-key read, a cache window later, shows it.

use crate::plan::change::{self, Change, Stored};
use crate::{Hash, Timestamp};

/// Why a key is read once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RereadReason {
    /// A list showed an older copy than ours.
    Rewind,
    /// It came back soon after its purge, without a newer stamp.
    Returned,
    /// A sweep listed it and we do not have it.
    Missing,
    /// A person named it. (What webhooks name waits in an inbox of its own.)
    Event,
}

impl RereadReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Rewind, Self::Returned, Self::Missing, Self::Event];

    /// Its word in column `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rewind => "rewind",
            Self::Returned => "returned",
            Self::Missing => "missing",
            Self::Event => "event",
        }
    }
}

/// An older copy that a by-key read showed, and the copy of ours that it would have replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// What was shown.
    pub shown: Hash,
    /// What we held.
    pub held: Hash,
}

/// What the by-key read means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Take the copy as any other, and be done.
    Take,
    /// Take it although it is older, or although its key was purged: it is confirmed.
    Force,
    /// Look once more after a cache window; remember this.
    Again(Sighting),
    /// Nothing to take, and done: the sweep decides about keys that do not answer.
    Done,
}

/// Decides what an answer to a by-key read means. `seen` is what an earlier read remembered.
pub fn settle(
    reason: RereadReason,
    seen: Option<Sighting>,
    stored: Option<&Stored>,
    answer: Option<(Hash, Option<Timestamp>)>,
) -> Settled {
    let Some((hash, modified_at)) = answer else { return Settled::Done };
    let Some(stored) = stored else {
        // Waited for, or asked for by a person: its tombstone has no say.
        let confirmed = matches!(reason, RereadReason::Returned | RereadReason::Event);
        return if confirmed { Settled::Force } else { Settled::Take };
    };
    match change::decide(Some(stored), hash, modified_at) {
        Change::Unchanged => Settled::Done,
        Change::Insert | Change::Update => Settled::Take,
        Change::Older => {
            let sighting = Sighting { shown: hash, held: stored.hash };
            if seen == Some(sighting) { Settled::Force } else { Settled::Again(sighting) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        chrono::DateTime::from_timestamp(seconds, 0)
    }

    fn sighting(shown: u8, held: u8) -> Sighting {
        Sighting { shown: Hash([shown; 16]), held: Hash([held; 16]) }
    }

    #[test]
    fn a_rewind_is_believed_at_the_second_by_key_read_and_not_before() {
        let stored = Stored { hash: Hash([1; 16]), modified_at: at(100) };
        let answer = Some((Hash([2; 16]), at(50)));
        let first = settle(RereadReason::Rewind, None, Some(&stored), answer);
        assert_eq!(first, Settled::Again(sighting(2, 1)));
        let second = settle(RereadReason::Rewind, Some(sighting(2, 1)), Some(&stored), answer);
        assert_eq!(second, Settled::Force);
        // Another older content in between is not the same rewind.
        let changed = settle(RereadReason::Rewind, Some(sighting(3, 1)), Some(&stored), answer);
        assert_eq!(changed, Settled::Again(sighting(2, 1)));
    }

    #[test]
    fn a_copy_that_came_between_two_reads_makes_the_first_one_moot() {
        let newest = Stored { hash: Hash([4; 16]), modified_at: at(200) };
        let stale = Some((Hash([2; 16]), at(50)));
        let second = settle(RereadReason::Rewind, Some(sighting(2, 1)), Some(&newest), stale);
        assert_eq!(
            second,
            Settled::Again(sighting(2, 4)),
            "the same stale copy, and what we hold has moved on"
        );
    }

    #[test]
    fn a_key_that_does_not_answer_is_left_to_the_sweep() {
        let stored = Stored { hash: Hash([1; 16]), modified_at: at(100) };
        assert_eq!(settle(RereadReason::Missing, None, Some(&stored), None), Settled::Done);
    }

    #[test]
    fn a_returned_key_that_answers_is_taken_back() {
        let answer = Some((Hash([2; 16]), at(50)));
        assert_eq!(settle(RereadReason::Returned, None, None, answer), Settled::Force);
    }
}
