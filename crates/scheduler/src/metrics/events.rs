//! What happens, counted: one method an event, so that no caller names a family or orders labels.

use std::sync::Arc;

use spark_domain::{FeedName, Job, Resource};
use spark_fetcher::{Attempt, Observer as ApiObserver};
use spark_store::{Observer as StoreObserver, Operation, Outcome, PageOutcome, RelationOutcome};

use super::Metrics;

impl Metrics {
    /// Watches the fetcher's attempts.
    pub fn attempt_observer(self: &Arc<Self>) -> ApiObserver {
        let metrics = Arc::clone(self);
        Arc::new(move |attempt: &Attempt<'_>| metrics.attempted(attempt))
    }

    /// Watches the store's operations.
    pub fn operation_observer(self: &Arc<Self>) -> StoreObserver {
        let metrics = Arc::clone(self);
        Arc::new(move |operation: Operation<'_>| metrics.operated(&operation))
    }

    fn attempted(&self, attempt: &Attempt<'_>) {
        let (feed, endpoint) = (attempt.feed.as_str(), attempt.endpoint);
        let code = attempt.status.map_or("none", status_label);
        self.counters.api_requests.with_label_values(&[feed, endpoint, code]).inc();
        self.counters.api_response_bytes.with_label_values(&[feed, endpoint]).inc_by(attempt.wire_bytes);
        self.histograms.api_duration.with_label_values(&[feed, endpoint]).observe(attempt.took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a handful of requests")]
        self.gauges.in_flight.with_label_values(&[feed]).set(attempt.in_flight as f64);
        if let Some(reason) = attempt.retry_reason {
            self.counters.api_retries.with_label_values(&[feed, reason]).inc();
        }
        let waited = attempt.waited.as_secs_f64();
        if waited > 0.001 {
            let labels = [feed, "local_budget"];
            self.counters.rate_limit_waits.with_label_values(&labels).inc();
            self.counters.rate_limit_wait_seconds.with_label_values(&labels).inc_by(waited);
        }
        if attempt.status == Some(429) {
            self.counters.rate_limit_waits.with_label_values(&[feed, "http_429"]).inc();
        }
    }

    fn operated(&self, operation: &Operation<'_>) {
        let took = operation.took.as_secs_f64();
        if operation.name == "acquire" {
            self.histograms.db_acquire.observe(took);
            return;
        }
        self.histograms.db_duration.with_label_values(&[operation.name]).observe(took);
        if let Some(class) = &operation.sqlstate_class {
            self.counters.db_errors.with_label_values(&[operation.name, class]).inc();
        }
    }

    pub(crate) fn page_committed(
        &self,
        feed: &FeedName,
        resource: Resource,
        job: Job,
        outcome: &PageOutcome,
    ) {
        let (feed, resource) = (feed.as_str(), resource.as_str());
        self.counters.pages.with_label_values(&[feed, resource, job.as_str()]).inc();
        for (result, count) in [
            ("inserted", outcome.inserted),
            ("updated", outcome.updated),
            ("unchanged", outcome.unchanged),
            ("rejected", outcome.rejected),
            ("older", outcome.older),
        ] {
            self.counters.records.with_label_values(&[feed, resource, result]).inc_by(count);
        }
        if outcome.column_nulls > 0 {
            let labels = [feed, resource, "quarantined_value"];
            self.counters.schema_drift.with_label_values(&labels).inc_by(outcome.column_nulls);
        }
        if job == Job::Update {
            let delays = self.histograms.record_delay.with_label_values(&[feed, resource]);
            outcome.delays.iter().for_each(|delay| delays.observe(*delay));
        }
    }

    pub(crate) fn page_staged(&self, feed: &FeedName, resource: Resource, job: Job) {
        self.counters.pages.with_label_values(&[feed.as_str(), resource.as_str(), job.as_str()]).inc();
    }

    pub(crate) fn relations_committed(&self, feed: &FeedName, resource: Resource, outcome: &RelationOutcome) {
        let labels = [feed.as_str(), resource.as_str()];
        self.counters.media_refreshes.with_label_values(&labels).inc_by(outcome.sets_replaced);
        self.counters.media_skipped.with_label_values(&labels).inc_by(outcome.sets_unchanged);
    }

    pub(crate) fn records_deleted(&self, feed: &FeedName, resource: Resource, count: u64) {
        let labels = [feed.as_str(), resource.as_str(), "deleted"];
        self.counters.records.with_label_values(&labels).inc_by(count);
    }

    pub(crate) fn schema_drifted(&self, feed: &FeedName, resource: Resource, kind: &str) {
        self.counters.schema_drift.with_label_values(&[feed.as_str(), resource.as_str(), kind]).inc();
    }

    #[expect(clippy::cast_precision_loss, reason = "a row count")]
    pub(crate) fn purge_candidates(&self, feed: &FeedName, resource: Resource, count: u64) {
        self.gauges.purge_candidates.with_label_values(&[feed.as_str(), resource.as_str()]).set(count as f64);
    }

    /// The guard has spoken: refused for this reason, or let a plan pass.
    pub(crate) fn purge_guard(&self, feed: &FeedName, resource: Resource, refused: Option<&str>) {
        let (feed, resource) = (feed.as_str(), resource.as_str());
        let tripped = f64::from(u8::from(refused.is_some()));
        self.gauges.purge_guard_tripped.with_label_values(&[feed, resource]).set(tripped);
        if let Some(reason) = refused {
            self.counters.purge_guard_trips.with_label_values(&[feed, resource, reason]).inc();
        }
    }

    pub(crate) fn rate_limit_share(&self, feed: &FeedName, share: f64) {
        self.gauges.rate_limit_share.with_label_values(&[feed.as_str()]).set(share);
    }

    pub(crate) fn feed_blocked(&self, feed: &FeedName, blocked: bool) {
        let blocked = f64::from(u8::from(blocked));
        self.gauges.feed_blocked.with_label_values(&[feed.as_str(), "auth"]).set(blocked);
    }

    pub(crate) fn run_began(&self, feed: &FeedName, resource: Resource, job: Job) {
        self.counters
            .sync_runs
            .with_label_values(&[feed.as_str(), resource.as_str(), job.as_str()])
            .inc_by(0);
    }

    pub(crate) fn run_ended(
        &self,
        feed: &FeedName,
        resource: Resource,
        job: Job,
        outcome: Outcome,
        reason: Option<&str>,
        seconds: f64,
    ) {
        let (feed, resource) = (feed.as_str(), resource.as_str());
        let labels = [feed, resource, job.as_str()];
        self.counters.sync_runs.with_label_values(&labels).inc();
        self.gauges.last_duration.with_label_values(&labels).set(seconds);
        if outcome == Outcome::Failed {
            let reason =
                reason.filter(|reason| super::FAILURE_REASONS.contains(reason)).unwrap_or("upstream");
            self.counters.sync_failures.with_label_values(&[feed, resource, reason]).inc();
            if job == Job::MediaRefresh {
                self.counters.media_failures.with_label_values(&[feed]).inc();
            }
        }
    }
}

/// The statuses that have a label of their own; others are counted together.
fn status_label(status: u16) -> &'static str {
    match status {
        200 => "200",
        301 => "301",
        302 => "302",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        410 => "410",
        413 => "413",
        414 => "414",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        _ => "other",
    }
}
