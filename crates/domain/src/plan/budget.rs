//! How a limit of requests in any five minutes becomes an even pace.

use std::time::Duration;

/// Spark counts requests in any window of this length (1,500 for IDX keys, 4,000 for VOW and back office).
pub const WINDOW: Duration = Duration::from_mins(5);

/// A reserved slot is used within this long after its time: ten seconds that the pacer lets it live, and the
/// round trip that granted it.
pub const SLOT_LIFE: Duration = Duration::from_secs(12);

/// A reservation whose round trip took longer than this is not used.
pub const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(2);

/// What is left of a key's share after it was refused for too many requests, though its limit was kept: the limit is
/// lower than configured, or somebody else uses the key.
pub const SHARE_AFTER_REFUSAL: f64 = 0.7;

/// No key is slowed down below this share of its configured limit.
pub const LEAST_SHARE: f64 = 0.1;

/// The share climbs by this much an hour, as long as nothing is refused.
pub const CLIMB_PER_HOUR: f64 = 0.05;

/// Whether a refusal that came after `spent` requests in a window speaks of another user of the key: one that this
/// database does not know.
pub const fn is_used_elsewhere(spent: u64, limit: u32) -> bool {
    spent < limit as u64 / 2
}

/// The time between two slots, so that no window ever holds more than `limit`: a slot that lies just before a
/// window may be used in it, hence the window and a slot's life together.
pub fn spacing(limit: u32, window: Duration, slot_life: Duration) -> Duration {
    (window + slot_life) / limit.max(1)
}

/// How many slots to reserve for `waiting` requests: few, since what is not used expires; some, so that a
/// fast pace does not ask the database for each.
pub fn block(waiting: usize, spacing: Duration, slot_life: Duration) -> u32 {
    let within_half_a_life = (slot_life.as_secs_f64() / 2.0 / spacing.as_secs_f64().max(0.001)).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the clamp before it"
    )]
    let most = within_half_a_life.clamp(1.0, 64.0) as u32;
    u32::try_from(waiting).unwrap_or(u32::MAX).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_limit(
            limit in 1u32..5000,
            delays in prop::collection::vec(0u64..10_000, 50..400),
        ) {
            let spacing = spacing(limit, WINDOW, SLOT_LIFE);
            let mut used: Vec<Duration> = delays
                .iter()
                .zip(0u32..)
                .map(|(delay, slot)| spacing * slot + Duration::from_millis(*delay))
                .collect();
            used.sort();
            for (first, from) in used.iter().enumerate() {
                let inside = used[first..].iter().take_while(|at| **at < *from + WINDOW).count();
                prop_assert!(inside <= limit as usize, "{inside} in a window of {limit}");
            }
        }

        #[test]
        fn a_block_never_outlives_its_slots(waiting in 0usize..10_000, limit in 1u32..100_000) {
            let spacing = spacing(limit, WINDOW, SLOT_LIFE);
            let count = block(waiting, spacing, SLOT_LIFE);
            prop_assert!(count == 1 || spacing * count <= SLOT_LIFE);
        }
    }
}
