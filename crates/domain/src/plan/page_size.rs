//! How many records to ask for at once, so that a page weighs about what it may.
//!
//! Listings weigh from 3 to 50 KB and more, and servers cancel what takes them too long (1515): so the size is
//! learnt from the pages that come, and halved when one does not.

/// `$top` of a walk's first page.
pub const FIRST: u32 = 100;

/// Smaller pages are not asked for: at this size the trouble lies elsewhere.
pub const SMALLEST: u32 = 25;

/// Parents whose relations are asked for at once; the URL's length and the pages' weight cut it further.
pub const MOST_PARENTS: u32 = 400;

/// Parents asked for first, before their weight is known.
pub const FIRST_PARENTS: u32 = 50;

/// `$top` for the next page after one of `records` records in `bytes` bytes was asked with `top`.
/// Aims at nine tenths of `goal` bytes; grows at most twofold a page, shrinks at once.
pub fn after_page(top: u32, records: usize, bytes: usize, goal: usize, largest: u32) -> u32 {
    let smallest = SMALLEST.min(largest);
    if records == 0 || bytes == 0 {
        return top.clamp(smallest, largest);
    }
    let fits = goal / 10 * 9 * records / bytes;
    let fits = u32::try_from(fits).unwrap_or(u32::MAX);
    fits.min(top.saturating_mul(2)).clamp(smallest, largest)
}

/// `$top` after the feed would not or could not deliver a page; none if it cannot shrink any more.
pub fn after_refusal(top: u32) -> Option<u32> {
    (top > SMALLEST).then(|| (top / 2).max(SMALLEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_next_page_stays_under_the_goal_if_its_records_weigh_the_same(
            top in 25u32..1000, weight in 500usize..200_000, goal in 5_000_000usize..10_000_000
        ) {
            let next = after_page(top, top as usize, top as usize * weight, goal, 1000);
            prop_assert!(next as usize * weight <= goal || next == SMALLEST);
            prop_assert!((SMALLEST..=1000).contains(&next));
        }
    }

    #[test]
    fn a_light_record_reaches_the_largest_page_in_four_steps() {
        let steps: Vec<u32> = std::iter::successors(Some(FIRST), |top| {
            Some(after_page(*top, *top as usize, *top as usize * 200, 8_000_000, 1000))
        })
        .take(5)
        .collect();
        assert_eq!(steps, [100, 200, 400, 800, 1000]);
    }

    #[test]
    fn refusals_halve_down_to_the_smallest_and_then_end() {
        assert_eq!(after_refusal(1000), Some(500));
        assert_eq!(after_refusal(40), Some(25));
        assert_eq!(after_refusal(25), None);
    }
}
