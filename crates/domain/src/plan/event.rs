//! What follows from an event: a reading at once, and another one when no cache can be stale any more.
//!
//! An event proves nothing and deletes nothing. It only makes a key be read sooner than the next update would, and
//! whatever is lost of it the update and the sweep make good. So it may take a share of the requests and no more.

use std::time::Duration;

use chrono::TimeDelta;

use crate::Timestamp;

/// Events take at most this part of a key's requests: one in four.
const SHARE: u32 = 4;

/// When to read once more what an event named, after a reading at `read_at`; none if that one was late enough: a
/// cache window behind the event the feed shows what the event meant.
pub fn read_again_at(
    received_at: Timestamp,
    read_at: Timestamp,
    cache_window: TimeDelta,
) -> Option<Timestamp> {
    let sure = received_at.checked_add_signed(cache_window)?;
    (read_at < sure).then_some(sure)
}

/// How long to leave the feed's requests to others after `requests` of ours, each worth `spacing`.
pub fn rest(requests: usize, spacing: Duration) -> Duration {
    spacing.saturating_mul(SHARE).saturating_mul(u32::try_from(requests).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::budget::{SLOT_LIFE, WINDOW, spacing};

    fn at(seconds: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn what_was_read_at_once_is_read_once_more_and_what_was_read_late_is_not() {
        let window = TimeDelta::minutes(20);
        assert_eq!(read_again_at(at(0), at(1), window), Some(at(1_200)));
        assert_eq!(read_again_at(at(0), at(1_200), window), None, "no cache is older than the window");
    }

    proptest! {
        #[test]
        fn however_many_events_come_three_quarters_of_the_requests_are_left_to_others(
            limit in 1u32..5000,
            rounds in prop::collection::vec(1usize..6, 1..200),
        ) {
            let spacing = spacing(limit, WINDOW, SLOT_LIFE);
            // Each round is over in no time: the worst case.
            let (mut now, mut used) = (Duration::ZERO, 0);
            for requests in rounds {
                if now >= WINDOW {
                    break;
                }
                used += requests;
                now += rest(requests, spacing);
            }
            prop_assert!(used <= limit as usize / 4 + 6, "{used} of {limit}");
        }
    }
}
