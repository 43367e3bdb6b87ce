//! What a first download will take, reckoned from a feed's counts and a page of each resource.

use std::time::Duration;

use spark_domain::plan::page_size;

use crate::http::view::float;

/// Bytes of the fields that a question for relations asks for beside them.
const SELECTED_BYTES: u64 = 400;

/// Batches of parents that are gone through one by one; by then their sizes go round in circles.
const BATCHES: u32 = 64;

/// Bytes on disk for a byte of JSON, with its index and its typed columns: measured with lz4 on listings.
const DISK_PER_BYTE: f64 = 0.8;

/// What was measured of a resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// Records that the feed counts.
    pub(super) count: u64,
    /// Bytes of a record's JSON, without relations.
    pub(super) record_bytes: u64,
    /// Seconds that a record's share of a page took.
    pub(super) record_seconds: f64,
    /// Bytes of a record's relations; none if none are configured.
    pub(super) relation_bytes: Option<u64>,
    /// More records the feed puts on no page.
    pub(super) most_per_page: u32,
    /// Keys that fit into one question for relations.
    pub(super) keys_per_question: u32,
    /// Requests of a walk that bring no record: for a count, for a last page.
    pub(super) beside_pages: u64,
}

/// How a feed is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) page_size: u32,
    pub(super) page_bytes: usize,
    /// The time between two requests.
    pub(super) spacing: Duration,
    /// Whether relations come along with the pages of a first download.
    pub(super) expands: bool,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    pub(super) disk_bytes: f64,
}

impl Measured {
    pub(super) fn estimate(&self, terms: &Terms) -> Estimate {
        let along = self.relation_bytes.filter(|_| terms.expands);
        let weight = self.record_bytes + along.unwrap_or(0);
        let mut estimate = self.share(self.pages(weight, terms) + self.beside_pages, weight, terms);
        if let (Some(bytes), None) = (self.relation_bytes, along) {
            estimate = estimate.and(self.share(self.questions(bytes, terms), bytes, terms));
        }
        estimate
    }

    /// What so many requests come to, for so many bytes of each record.
    fn share(&self, requests: u64, bytes_each: u64, terms: &Terms) -> Estimate {
        let (requests, bytes) = (float(requests), float(self.count) * float(bytes_each));
        let per_byte = self.record_seconds / float(self.record_bytes.max(1));
        Estimate {
            requests,
            seconds: (requests * terms.spacing.as_secs_f64()).max(bytes * per_byte),
            disk_bytes: bytes * DISK_PER_BYTE,
        }
    }

    /// Pages of the walk: the first one is small, and each may have twice as many records as the one before.
    fn pages(&self, weight: u64, terms: &Terms) -> u64 {
        let mut top = page_size::FIRST.min(terms.page_size);
        let (mut left, mut pages) = (self.count, 0);
        loop {
            let records = top.min(self.most_per_page).max(1);
            let next = after(top, records, weight, terms, terms.page_size);
            if next == top {
                return pages + left.div_ceil(u64::from(records)).max(1);
            }
            pages += 1;
            left = left.saturating_sub(u64::from(records));
            if left == 0 {
                return pages;
            }
            top = next;
        }
    }

    /// Questions for the relations of all records: a batch of parents is cut into questions, and its last one, often a
    /// small one, decides how many parents come next.
    fn questions(&self, bytes: u64, terms: &Terms) -> u64 {
        let fits = self.keys_per_question.min(terms.page_size).max(1);
        let (mut parents, mut taken, mut questions) = (page_size::FIRST_PARENTS, 0, 0);
        for _ in 0..BATCHES {
            let mut left = u32::try_from(self.count - taken).map_or(parents, |all| all.min(parents));
            taken += u64::from(left);
            while left > 0 {
                let asked = left.min(fits);
                let top = asked.max(page_size::SMALLEST);
                parents = after(top, asked, bytes + SELECTED_BYTES, terms, page_size::MOST_PARENTS);
                left -= asked;
                // An answer may take several pages, too.
                questions += u64::from(asked.div_ceil(self.most_per_page.max(1)));
            }
            if taken == self.count {
                return questions;
            }
        }
        let all = u128::from(questions) * u128::from(self.count) / u128::from(taken.max(1));
        u64::try_from(all).unwrap_or(u64::MAX)
    }
}

fn after(top: u32, records: u32, weight: u64, terms: &Terms, largest: u32) -> u32 {
    let bytes = u64::from(records).saturating_mul(weight.max(1));
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    page_size::after_page(
        top,
        usize::try_from(records).unwrap_or(usize::MAX),
        bytes,
        terms.page_bytes,
        largest,
    )
}

impl Estimate {
    pub(super) const NOTHING: Self = Self { requests: 0.0, seconds: 0.0, disk_bytes: 0.0 };

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            seconds: self.seconds + other.seconds,
            disk_bytes: self.disk_bytes + other.disk_bytes,
        }
    }
}

/// Bytes for people: `51 KB`, `4.1 GB`.
pub(super) fn bytes(count: f64) -> String {
    let steps = [(1e9, "GB"), (1e6, "MB"), (1e3, "KB")];
    match steps.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) if count / size < 10.0 => format!("{:.1} {unit}", count / size),
        Some((size, unit)) => format!("{:.0} {unit}", count / size),
        None => format!("{count:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        page_size: 1_000,
        page_bytes: 8_000_000,
        spacing: Duration::from_millis(250),
        expands: false,
    };

    const LISTINGS: Measured = Measured {
        count: 100_000,
        record_bytes: 40_000,
        record_seconds: 0.000_5,
        relation_bytes: Some(20_000),
        most_per_page: 1_000,
        keys_per_question: 176,
        beside_pages: 0,
    };

    #[test]
    fn heavy_listings_come_in_pages_that_fit_the_bytes_and_not_in_the_largest_pages() {
        let estimate = LISTINGS.estimate(&TERMS);
        // 180 listings fill a page; of the 50, 100, 200 parents of a batch 176 fill a question, and the 24 that are left
        // make the next batch one of 48: in the end a question is half full.
        assert!((556.0 + 1_130.0..556.0 + 1_160.0).contains(&estimate.requests), "{estimate:?}");
        assert!((estimate.seconds - estimate.requests * 0.25).abs() < 1.0, "{estimate:?}");
        assert!((estimate.disk_bytes - 4.8e9).abs() < 1e6, "{estimate:?}");
        let at_once = LISTINGS.estimate(&Terms { expands: true, ..TERMS });
        assert!((830.0..840.0).contains(&at_once.requests), "{at_once:?}");
    }

    #[test]
    fn small_collections_take_small_pages_as_a_walk_begins_with_them() {
        let light = Measured { record_bytes: 500, relation_bytes: None, beside_pages: 2, ..LISTINGS };
        let requests = |count, most_per_page| {
            Measured { count, most_per_page, ..light }.estimate(&TERMS).requests.to_string()
        };
        // 100, 200, 400, 800, then thousands.
        let taken = [0, 1, 100, 101, 1_500, 1_501, 3_500].map(|count| requests(count, 1_000));
        assert_eq!(taken, ["3", "3", "3", "4", "6", "7", "8"]);
        assert_eq!(requests(1_000, 50), "22");
        let related = |most_per_page| {
            let media = Measured { count: 150, record_bytes: 500, most_per_page, ..LISTINGS };
            media.estimate(&TERMS).requests.to_string()
        };
        // Parents 50 and 100.
        assert_eq!([1_000, 50].map(related), ["4", "6"]);
        assert_eq!(requests(u64::MAX, 1_000).len(), 17);
    }

    #[test]
    fn a_slow_feed_and_not_our_pace_decides_how_long_it_takes() {
        let measured = Measured {
            count: 10_000,
            record_bytes: 1_000,
            record_seconds: 0.02,
            relation_bytes: None,
            ..LISTINGS
        };
        assert!((measured.estimate(&TERMS).seconds - 200.0).abs() < 0.1);
    }

    #[test]
    fn sizes_are_said_in_two_digits() {
        let said = [999.0, 51_200.0, 4_100_000.0, 4.8e9].map(bytes);
        assert_eq!(said, ["999 B", "51 KB", "4.1 MB", "4.8 GB"]);
    }
}
