//! Deliveries of webhooks and the events in them, counted.

use chrono::TimeDelta;
use spark_domain::{FeedName, Resource};

use super::Metrics;

/// How a delivery was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// Written down, or there was nothing to write.
    Accepted,
    /// No feed of ours, or no proof that the feed sent it.
    Unauthorized,
    /// Not what a delivery looks like.
    Malformed,
    /// More bytes or events than one may have.
    TooLarge,
    /// Postgres was away.
    Unavailable,
    /// Too much waits already.
    Full,
}

impl Delivered {
    const ALL: [Self; 6] =
        [Self::Accepted, Self::Unauthorized, Self::Malformed, Self::TooLarge, Self::Unavailable, Self::Full];

    /// The label `result`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unauthorized => "unauthorized",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
        }
    }
}

impl Metrics {
    /// Creates the series of a feed that has a webhook, so that each begins at zero.
    pub fn declare_webhook(&self, feed: &FeedName) {
        for result in Delivered::ALL {
            self.counters.webhook_deliveries.with_label_values(&[feed.as_str(), result.as_str()]).inc_by(0);
        }
        for result in ["kept", "merged", "ignored", "unreadable"] {
            self.counters.webhook_events.with_label_values(&[feed.as_str(), result]).inc_by(0);
        }
    }

    /// Counts a delivery; no feed where it named none of ours.
    pub fn delivered(&self, feed: Option<&FeedName>, result: Delivered) {
        let feed = feed.map_or("", FeedName::as_str);
        self.counters.webhook_deliveries.with_label_values(&[feed, result.as_str()]).inc();
    }

    /// Counts the events of a delivery that was taken: how many keys are due by it, how many events said nothing
    /// new, and how many could not be read.
    pub fn events_received(&self, feed: &FeedName, kept: u64, merged: u64, unreadable: u64) {
        for (result, count) in [("kept", kept), ("merged", merged), ("unreadable", unreadable)] {
            self.counters.webhook_events.with_label_values(&[feed.as_str(), result]).inc_by(count);
        }
    }

    /// Counts events of what is not replicated.
    pub fn events_ignored(&self, feed: &FeedName, count: usize) {
        self.counters.webhook_events.with_label_values(&[feed.as_str(), "ignored"]).inc_by(count as u64);
    }

    pub(crate) fn events_read(
        &self,
        feed: &FeedName,
        resource: Resource,
        delays: impl Iterator<Item = TimeDelta>,
    ) {
        let family = self.histograms.event_delay.with_label_values(&[feed.as_str(), resource.as_str()]);
        delays.for_each(|delay| family.observe(delay.as_seconds_f64().max(0.0)));
    }
}
