//! Every metric of the program: its name, its help, its labels, its buckets. Nothing is counted elsewhere.
//!
//! Times are exported as timestamps and never as ages, and are absent until they are true; label sets known in
//! advance exist from the start. Labels are closed lists: a feed, a resource, a job, a reason; never a key, an
//! address or an error's text.

mod events;
mod webhooks;
pub(crate) mod gauges;
mod families;

use std::sync::Arc;

use prometheus::{Encoder, Registry, TextEncoder};
use spark_domain::{FeedName, Job};
use spark_fetcher::RETRY_REASONS;

pub use self::webhooks::Delivered;
use crate::settings::FeedSettings;
use families::{Counters, Gauges, Histograms};

/// The reasons of `sync_failures_total`.
pub const FAILURE_REASONS: [&str; 12] = [
    "auth",
    "rate_limited",
    "upstream",
    "network",
    "timeout",
    "decode",
    "schema",
    "database",
    "incomplete_listing",
    "guard",
    "panic",
    "cancelled",
];

/// The process' metrics.
pub struct Metrics {
    registry: Registry,
    counters: Counters,
    gauges: Gauges,
    histograms: Histograms,
}

/// What `build_info` says.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The program's version.
    pub version: &'a str,
    /// The commit it was built from, or `unknown`.
    pub revision: &'a str,
}

impl Metrics {
    /// Registers every family.
    pub fn new(build: Build<'_>) -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            counters: Counters::register(&registry)?,
            gauges: Gauges::register(&registry)?,
            histograms: Histograms::register(&registry)?,
            registry,
        };
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        metrics.gauges.build_info.with_label_values(&[build.version, build.revision]).set(1.0);
        for level in ["error", "warn", "info", "debug", "trace"] {
            metrics.counters.log_messages.with_label_values(&[level]).inc_by(0);
        }
        metrics.gauges.db_up.set(0.0);
        Ok(Arc::new(metrics))
    }

    /// The exposition, for `text/plain; version=0.0.4`.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }

    /// Counts a logged line.
    pub fn logged(&self, level: &str) {
        self.counters.log_messages.with_label_values(&[level]).inc();
    }

    /// Creates the series of a feed, so that each begins at zero and not at its first event.
    pub(crate) fn declare(&self, settings: &FeedSettings) {
        let feed = settings.feed().as_str();
        let (counters, gauges) = (&self.counters, &self.gauges);
        gauges.rate_limit_requests.with_label_values(&[feed]).set(f64::from(settings.requests_per_5_minutes));
        if let Some(deadline) = settings.removal_deadline {
            gauges.removal_deadline.with_label_values(&[feed]).set(deadline.as_secs_f64());
        }
        gauges.lease_held.with_label_values(&[feed]).set(0.0);
        gauges.feed_blocked.with_label_values(&[feed, "auth"]).set(0.0);
        gauges.in_flight.with_label_values(&[feed]).set(0.0);
        counters.lease_transitions.with_label_values(&[feed]).inc_by(0);
        counters.media_failures.with_label_values(&[feed]).inc_by(0);
        for reason in RETRY_REASONS {
            counters.api_retries.with_label_values(&[feed, reason]).inc_by(0);
        }
        for reason in ["local_budget", "http_429"] {
            counters.rate_limit_waits.with_label_values(&[feed, reason]).inc_by(0);
            counters.rate_limit_wait_seconds.with_label_values(&[feed, reason]).inc_by(0.0);
        }
        for resource in &settings.resources {
            let resource = *resource;
            let name = resource.as_str();
            let interval = if resource.has_updates() { settings.update_every } else { settings.daily_every };
            gauges.sync_interval.with_label_values(&[feed, name]).set(interval.as_secs_f64());
            let objective =
                if resource.has_updates() { settings.lag_objective } else { settings.daily_every * 2 };
            gauges.sync_lag_objective.with_label_values(&[feed, name]).set(objective.as_secs_f64());
            // Lookups are swept as they are read: daily, whatever purge_at says.
            let every = purge_interval(settings).filter(|_| resource.has_updates());
            let every = every.unwrap_or(settings.daily_every.as_secs_f64());
            gauges.purge_interval.with_label_values(&[feed, name]).set(every);
            gauges.purge_guard_tripped.with_label_values(&[feed, name]).set(0.0);
            for reason in FAILURE_REASONS {
                counters.sync_failures.with_label_values(&[feed, name, reason]).inc_by(0);
            }
            for result in ["inserted", "updated", "unchanged", "deleted", "rejected", "older"] {
                counters.records.with_label_values(&[feed, name, result]).inc_by(0);
            }
            for job in Job::ALL.into_iter().filter(|job| settings.has(*job, resource)) {
                counters.sync_runs.with_label_values(&[feed, name, job.as_str()]).inc_by(0);
                counters.pages.with_label_values(&[feed, name, job.as_str()]).inc_by(0);
            }
        }
    }

    /// Whether the lease of a feed is ours.
    pub(crate) fn lease_held(&self, feed: &FeedName, held: bool) {
        self.gauges.lease_held.with_label_values(&[feed.as_str()]).set(f64::from(u8::from(held)));
        if held {
            self.counters.lease_transitions.with_label_values(&[feed.as_str()]).inc();
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The longest time between two sweeps, in seconds.
fn purge_interval(settings: &FeedSettings) -> Option<f64> {
    let from = spark_domain::Timestamp::UNIX_EPOCH;
    let gap = crate::cron::longest_gap(&settings.purge_at, settings.time_zone, from)?;
    Some(gap.as_seconds_f64())
}
