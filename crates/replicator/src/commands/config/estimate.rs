//! What a first download will take, reckoned from a feed's counts and a page of each resource.

use std::time::Duration;

use crate::http::view::float;

/// Keys of 26 digits that fit into one question for relations.
const KEYS_PER_REQUEST: f64 = 180.0;

/// Bytes on disk for a byte of JSON, with its index and its typed columns: measured with lz4 on listings.
const DISK_PER_BYTE: f64 = 0.8;

/// What was measured of a resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// Records that the feed counts.
    pub(super) count: u64,
    /// Bytes of a record's JSON, without relations.
    pub(super) record_bytes: f64,
    /// Seconds that a record's share of a page took.
    pub(super) record_seconds: f64,
    /// Bytes of a record's relations; none if none are configured.
    pub(super) relation_bytes: Option<f64>,
}

/// How a feed is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) page_size: u32,
    pub(super) page_bytes: usize,
    /// The time between two requests.
    pub(super) spacing: Duration,
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
        let count = float(self.count);
        let room = float(u64::try_from(terms.page_bytes).unwrap_or(u64::MAX));
        let per_page = (room / self.record_bytes.max(1.0)).clamp(1.0, f64::from(terms.page_size));
        let pages = (count / per_page).ceil();
        let mut estimate = Estimate {
            requests: pages,
            seconds: (pages * terms.spacing.as_secs_f64()).max(count * self.record_seconds),
            disk_bytes: count * self.record_bytes * DISK_PER_BYTE,
        };
        if let Some(bytes) = self.relation_bytes {
            let per_request = (room / bytes.max(1.0)).clamp(1.0, KEYS_PER_REQUEST);
            let requests = (count / per_request).ceil();
            let per_byte = self.record_seconds / self.record_bytes.max(1.0);
            estimate.requests += requests;
            estimate.seconds += (requests * terms.spacing.as_secs_f64()).max(count * bytes * per_byte);
            estimate.disk_bytes += count * bytes * DISK_PER_BYTE;
        }
        estimate
    }
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

    const TERMS: Terms =
        Terms { page_size: 1_000, page_bytes: 8_000_000, spacing: Duration::from_millis(250) };

    #[test]
    fn heavy_listings_come_in_pages_that_fit_the_bytes_and_not_in_the_largest_pages() {
        let measured = Measured {
            count: 100_000,
            record_bytes: 40_000.0,
            record_seconds: 0.000_5,
            relation_bytes: Some(20_000.0),
        };
        let estimate = measured.estimate(&TERMS);
        // 200 listings fill a page; 180 keys fill a question for relations.
        assert!((estimate.requests - (500.0 + 556.0)).abs() < 1.0, "{estimate:?}");
        assert!((estimate.seconds - (125.0 + 139.0)).abs() < 1.0, "{estimate:?}");
        assert!((estimate.disk_bytes - 4.8e9).abs() < 1e6, "{estimate:?}");
    }

    #[test]
    fn a_slow_feed_and_not_our_pace_decides_how_long_it_takes() {
        let measured =
            Measured { count: 10_000, record_bytes: 1_000.0, record_seconds: 0.02, relation_bytes: None };
        assert!((measured.estimate(&TERMS).seconds - 200.0).abs() < 0.1);
    }

    #[test]
    fn sizes_are_said_in_two_digits() {
        let said = [999.0, 51_200.0, 4_100_000.0, 4.8e9].map(bytes);
        assert_eq!(said, ["999 B", "51 KB", "4.1 MB", "4.8 GB"]);
    }
}
