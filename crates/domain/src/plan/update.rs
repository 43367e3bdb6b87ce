//! Which window of ModificationTimestamp an update asks for, and where the cursor stands afterwards.
//!
//! The cursor is the *start* of the last finished pass by the feed's clock, and every window begins a cache
//! window before it (the guide's 20 minutes): a feed that serves stale copies for that long still shows each
//! change to some pass. The newest stamp seen is never a cursor; records come in key order, so what changed
//! behind the read head would be lost.

use chrono::TimeDelta;

use crate::Timestamp;

/// The longest span that one query asks for: beyond it servers cancel the query as too slow (1516).
pub const LONGEST_SLICE: TimeDelta = TimeDelta::days(1);

/// The shortest window that is still halved: below it the trouble lies elsewhere.
pub const SHORTEST_WINDOW: TimeDelta = TimeDelta::minutes(1);

/// A window of ModificationTimestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateWindow {
    /// Exclusive.
    pub after: Timestamp,
    /// Inclusive; none in the last slice, which is open.
    pub until: Option<Timestamp>,
}

/// The window of the next pass. A gap longer than a day is taken in slices.
pub fn window(cursor: Timestamp, cache_window: TimeDelta, now: Timestamp) -> UpdateWindow {
    let after = cursor - cache_window;
    let until = (now - cursor > LONGEST_SLICE).then(|| cursor + LONGEST_SLICE);
    UpdateWindow { after, until }
}

/// The first half of a window that a server cannot answer even in its smallest pages (1516); what follows it begins
/// at its end. None if the window is too short for that.
pub fn first_half(window: UpdateWindow, now: Timestamp) -> Option<UpdateWindow> {
    let span = window.until.unwrap_or(now) - window.after;
    // Whole seconds: that is what the question can say.
    let half = TimeDelta::seconds(span.num_seconds() / 2);
    (span > SHORTEST_WINDOW).then(|| UpdateWindow { until: Some(window.after + half), ..window })
}

/// The window of a look-back: open, over the last `span`.
pub fn lookback_window(now: Timestamp, span: TimeDelta) -> UpdateWindow {
    UpdateWindow { after: now - span, until: None }
}

/// The cursor after a finished pass: its start, or the slice's end. Never earlier than it was.
pub fn cursor_after(cursor: Timestamp, window: UpdateWindow, as_of: Timestamp) -> Timestamp {
    window.until.map_or(as_of, |until| until.min(as_of)).max(cursor)
}

/// What becomes of the cursor when a pass gave up because the feed is not in sync (1023, 1024, 2005).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterUnsynced {
    /// It stays; the next pass asks for the same again.
    Hold,
    /// It has been held three times: it moves on, and a look-back is ordered for what may have been missed.
    MoveAndLookBack,
}

/// Decides it, for the pass that is the `passes`th in a row to give up.
pub fn after_unsynced(passes: u32) -> AfterUnsynced {
    if passes < 3 { AfterUnsynced::Hold } else { AfterUnsynced::MoveAndLookBack }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        DateTime::from_timestamp(seconds, 0).unwrap_or_default()
    }

    proptest! {
        #[test]
        fn windows_and_slices_leave_no_gap(
            start in 1_600_000_000i64..1_700_000_000,
            steps in prop::collection::vec(1i64..400_000, 1..40),
            cache_minutes in 0i64..120,
        ) {
            let cache_window = TimeDelta::minutes(cache_minutes);
            let (mut cursor, mut now, mut covered) = (at(start), at(start), at(start));
            for step in steps {
                now += TimeDelta::seconds(step);
                // As the job does it: slices until the open one is done.
                loop {
                    let window = window(cursor, cache_window, now);
                    prop_assert!(window.after <= covered - cache_window, "a gap before {:?}", window);
                    prop_assert!(window.until.is_none_or(|until| until - window.after <= LONGEST_SLICE + cache_window));
                    let next = cursor_after(cursor, window, now);
                    prop_assert!(next > cursor || window.until.is_none());
                    covered = window.until.unwrap_or(now);
                    cursor = next;
                    if window.until.is_none() {
                        break;
                    }
                }
                prop_assert_eq!(cursor, now);
            }
        }

        #[test]
        fn the_cursor_never_moves_back(a in 0i64..2_000_000_000, b in 0i64..2_000_000_000) {
            let window = UpdateWindow { after: at(0), until: None };
            prop_assert!(cursor_after(at(a), window, at(b)) >= at(a));
        }
    }

    proptest! {
        #[test]
        fn halves_leave_no_gap_and_come_to_an_end(span in 0i64..4_000_000, bounded: bool) {
            let (start, end) = (at(1_600_000_000), at(1_600_000_000 + span));
            let whole = UpdateWindow { after: start, until: bounded.then_some(end) };
            let (mut window, mut halvings) = (whole, 0);
            while let Some(half) = first_half(window, end) {
                let until = half.until.unwrap_or(end);
                prop_assert!(half.after == start && until > start && until < end);
                window = half;
                halvings += 1;
            }
            prop_assert!(halvings < 30);
            prop_assert!(window.until.unwrap_or(end) - start <= SHORTEST_WINDOW);
        }
    }

    #[test]
    fn the_overlap_is_the_cache_window() {
        let window = window(at(1_700_000_000), TimeDelta::minutes(20), at(1_700_000_300));
        assert_eq!(window, UpdateWindow { after: at(1_700_000_000 - 1200), until: None });
    }

    #[test]
    fn a_feed_out_of_sync_holds_the_cursor_twice_and_then_orders_a_look_back() {
        let verdicts: Vec<_> = (1..=3).map(after_unsynced).collect();
        assert_eq!(verdicts, [AfterUnsynced::Hold, AfterUnsynced::Hold, AfterUnsynced::MoveAndLookBack]);
    }
}
