//! When relations are fetched, and what an answer settles.
//!
//! A set is fetched when its parent's fingerprint moved, replaced whole or not at all, and read a second time
//! only if the first answer may have come from a cache: that closes the race of a photo that changes between
//! the listing's read and the media's. At most two reads a change.

#[cfg(test)]
mod tests;

use chrono::TimeDelta;

use crate::record::{RelationMember, RelationSet};
use crate::{Breakage, Fingerprint, MediaPart, Relation, Timestamp};

/// Reads of a state that is what the feed shows.
const MOST_READS: i32 = 2;
/// Reads that may come to nothing (an absent or incomplete set) before a state is put to rest.
const MOST_TRIES: i32 = 3;

/// What we know of one relation of one record before the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The state of the parent for which the set is wanted; none on the fill walk.
    pub wanted: Option<(String, Option<Timestamp>)>,
    /// The state for which it was last fetched.
    pub fetched: Option<(String, Option<Timestamp>)>,
    /// Reads so far for this wanted state.
    pub tries: i32,
    /// The ModificationTimestamp of the parent that we hold, and of the one in the answer. A cache may answer with
    /// a parent older than ours.
    pub parent: Option<(Timestamp, Timestamp)>,
}

/// When the relation is looked at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Not before its parent changes.
    AtRest,
    /// At this time by Postgres' clock.
    At(Timestamp),
    /// Once the next sweep has shown that the parent lives.
    AfterSweep,
}

/// What an answer settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the set in the answer replaces ours.
    pub replace: bool,
    /// The state that is wanted now: the answer's, unless that is older.
    pub wanted: (String, Option<Timestamp>),
    /// The state for which we now have the set.
    pub fetched: Option<(String, Option<Timestamp>)>,
    /// When to look next.
    pub due: Due,
    /// Reads counted for the wanted state.
    pub tries: i32,
}

/// The state of a record that a relation depends on.
pub fn fingerprint_for(
    relation: Relation,
    record: &Fingerprint,
    modified_at: Option<Timestamp>,
) -> Fingerprint {
    match relation {
        Relation::Media => record.clone(),
        _ => Fingerprint::of_modification(modified_at),
    }
}

/// Judges an answer: `state` is the parent's state in it, `set` the relation if it came along. It was asked for at
/// `asked_at` by the feed's clock, which its stamps follow, and is judged at `now` by Postgres' clock.
pub fn judge(
    known: &Known,
    state: &Fingerprint,
    set: Option<&RelationSet<'_>>,
    asked_at: Timestamp,
    now: Timestamp,
    cache_window: TimeDelta,
) -> Verdict {
    let wanted_newest = known.wanted.as_ref().and_then(|(_, newest)| *newest);
    let stale_parent = known.parent.is_some_and(|(ours, theirs)| theirs < ours);
    let older = match known.wanted {
        None => stale_parent,
        Some(_) => stale_parent || state.is_older_than(wanted_newest),
    };
    let mine = (state.text.clone(), state.newest);
    let moved = known.wanted.as_ref().is_some_and(|(text, _)| *text != mine.0);
    let wanted = match &known.wanted {
        Some(wanted) if older => wanted.clone(),
        _ => mine.clone(),
    };
    // A state newer than the wanted one is a change of its own and gets its own two reads.
    let tries = if moved && !older { 1 } else { known.tries + 1 };

    let keep =
        |due| Verdict { replace: false, wanted: wanted.clone(), fetched: known.fetched.clone(), due, tries };
    let shows_photos =
        |set: &RelationSet<'_>| set.relation == Relation::Media && !set.says_nothing_of(MediaPart::Photos);
    let unusable = |set: &RelationSet<'_>| {
        let hollow = shows_photos(set) && set.members.is_empty() && state.photos.unwrap_or(0) > 0;
        set.incomplete || hollow
    };
    let Some(set) = set else {
        // Absent three times: this role does not show it, so the state is recorded as fetched.
        return if tries < MOST_TRIES {
            keep(Due::At(now + cache_window))
        } else {
            Verdict { fetched: Some(mine), ..keep(Due::AtRest) }
        };
    };
    if unusable(set) {
        return keep(if tries < MOST_TRIES { Due::At(now + cache_window) } else { Due::AfterSweep });
    }

    if Breakage::MediaUnseenStamp.is_on() {
        let wanted = known.wanted.clone().unwrap_or(mine);
        return Verdict { replace: true, fetched: Some(wanted.clone()), wanted, due: Due::AtRest, tries };
    }

    // A relation was read between an edit and its taking back, and the record never was: what is wanted is nobody's
    // state. By now a read after the cache window and one after a complete sweep agree with the copy that we hold.
    let never_held = known.parent.is_some_and(|(ours, theirs)| theirs >= ours);
    if older && never_held && known.tries >= MOST_READS {
        return Verdict { replace: true, wanted: mine.clone(), fetched: Some(mine), due: Due::AtRest, tries };
    }
    // A parent that truly went back wants an older state than the one we have: then the older set is the right one.
    let is_wanted = known.wanted.is_some() && !moved;
    let behind_ours = known.fetched.as_ref().is_some_and(|(_, newest)| state.is_older_than(*newest));
    if behind_ours && !is_wanted {
        return keep(if tries < MOST_READS { Due::At(now + cache_window) } else { Due::AfterSweep });
    }
    let fewer = shows_photos(set) && photos_in(set) < state.photos.unwrap_or(0) as usize;
    // What came is put in place; what did not may have been a hiccup, as a whole set that is absent.
    let lacking = !set.absent.is_empty();
    let most = if lacking { MOST_TRIES } else { MOST_READS };
    // A stamp from the future must not put the second read off until then.
    // A part whose stamp is not shown may have gone with any edit.
    let moved_at = state.newest.max(known.parent.map(|(_, theirs)| theirs));
    let settles_in = moved_at.map(|moved| (moved + cache_window - asked_at).min(cache_window));
    let fresh = settles_in.filter(|left| *left > TimeDelta::zero());
    // Two reads a change: what is still odd after the second is how the feed is.
    let due = match (older, fewer, fresh) {
        (true, _, _) if tries >= most => Due::AfterSweep,
        _ if tries >= most => Due::AtRest,
        (false, false, Some(left)) if !lacking => Due::At(now + left),
        (false, false, None) if !lacking => Due::AtRest,
        _ => Due::At(now + cache_window),
    };
    Verdict { replace: true, wanted, fetched: Some(mine), due, tries }
}

/// What becomes of a relation whose parent did not answer: it waits for a sweep to say that the parent lives. That
/// counts for nothing: of a set that was never looked for, one look does not say that this role has none.
pub fn unanswered(known: &Known) -> Verdict {
    let wanted = known.wanted.clone().unwrap_or_default();
    Verdict {
        replace: false,
        wanted,
        fetched: known.fetched.clone(),
        due: Due::AfterSweep,
        tries: known.tries,
    }
}

/// PhotosCount equals the members of category Photo; a set without categories counts whole.
fn photos_in(set: &RelationSet<'_>) -> usize {
    let photos = set.members.iter().filter(|member| member.is_photo()).count();
    let categorised = set.members.iter().any(RelationMember::has_category);
    if categorised { photos } else { set.members.len() }
}
