//! The families, registered once. The metrics reference lists the same names; a test compares the two.

use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
};

type Registered<T> = Result<T, prometheus::Error>;

pub(super) struct Counters {
    pub(super) log_messages: IntCounterVec,
    pub(super) sync_runs: IntCounterVec,
    pub(super) sync_failures: IntCounterVec,
    pub(super) records: IntCounterVec,
    pub(super) pages: IntCounterVec,
    pub(super) schema_drift: IntCounterVec,
    pub(super) api_requests: IntCounterVec,
    pub(super) api_response_bytes: IntCounterVec,
    pub(super) api_retries: IntCounterVec,
    pub(super) rate_limit_waits: IntCounterVec,
    pub(super) rate_limit_wait_seconds: CounterVec,
    pub(super) purge_guard_trips: IntCounterVec,
    pub(super) media_refreshes: IntCounterVec,
    pub(super) media_skipped: IntCounterVec,
    pub(super) media_failures: IntCounterVec,
    pub(super) db_errors: IntCounterVec,
    pub(super) lease_transitions: IntCounterVec,
    pub(super) webhook_deliveries: IntCounterVec,
    pub(super) webhook_events: IntCounterVec,
}

pub(super) struct Gauges {
    pub(super) build_info: GaugeVec,
    pub(super) sync_interval: GaugeVec,
    pub(super) sync_lag_objective: GaugeVec,
    pub(super) complete_through: GaugeVec,
    pub(super) last_success: GaugeVec,
    pub(super) last_attempt: GaugeVec,
    pub(super) watermark: GaugeVec,
    pub(super) last_duration: GaugeVec,
    pub(super) rows: GaugeVec,
    pub(super) in_flight: GaugeVec,
    pub(super) rate_limit_requests: GaugeVec,
    pub(super) rate_limit_share: GaugeVec,
    pub(super) feed_blocked: GaugeVec,
    pub(super) feed_paused: GaugeVec,
    pub(super) token_obtained: GaugeVec,
    pub(super) token_expiry: GaugeVec,
    pub(super) clock_skew: GaugeVec,
    pub(super) download_active: GaugeVec,
    pub(super) download_expected: GaugeVec,
    pub(super) download_processed: GaugeVec,
    pub(super) download_start: GaugeVec,
    pub(super) download_progress: GaugeVec,
    pub(super) purge_last_success: GaugeVec,
    pub(super) purge_interval: GaugeVec,
    pub(super) removal_deadline: GaugeVec,
    pub(super) purge_candidates: GaugeVec,
    pub(super) purge_guard_tripped: GaugeVec,
    pub(super) media_queue: GaugeVec,
    pub(super) media_queue_oldest: GaugeVec,
    pub(super) quarantined: GaugeVec,
    pub(super) db_up: Gauge,
    pub(super) db_pool: GaugeVec,
    pub(super) db_pool_max: Gauge,
    pub(super) lease_held: GaugeVec,
    pub(super) event_queue: GaugeVec,
    pub(super) event_queue_oldest: GaugeVec,
}

pub(super) struct Histograms {
    pub(super) record_delay: HistogramVec,
    pub(super) event_delay: HistogramVec,
    pub(super) api_duration: HistogramVec,
    pub(super) db_duration: HistogramVec,
    pub(super) db_acquire: Histogram,
}

const FEED: &[&str] = &["feed"];
const BOTH: &[&str] = &["feed", "resource"];

impl Counters {
    pub(super) fn register(registry: &Registry) -> Registered<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> Registered<IntCounterVec> {
            let family = IntCounterVec::new(Opts::new(full(name), help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let seconds = CounterVec::new(
            Opts::new(
                full("api_rate_limit_wait_seconds_total"),
                "Seconds that requests waited for the budget, by what they waited for.",
            ),
            &["feed", "reason"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            log_messages: counter("log_messages_total", "Lines logged, by level.", &["level"])?,
            sync_runs: counter(
                "sync_runs_total",
                "Runs that ended, failed ones too.",
                &["feed", "resource", "job_name"],
            )?,
            sync_failures: counter(
                "sync_failures_total",
                "Runs that failed, by reason.",
                &["feed", "resource", "reason"],
            )?,
            records: counter(
                "records_total",
                "Records taken in, by what became of them.",
                &["feed", "resource", "result"],
            )?,
            pages: counter("pages_total", "Pages committed.", &["feed", "resource", "job_name"])?,
            schema_drift: counter(
                "schema_drift_total",
                "Changes of the feed's schema and values that did not fit their typed column, by kind.",
                &["feed", "resource", "kind"],
            )?,
            api_requests: counter(
                "api_requests_total",
                "Requests sent, retries too; code is the HTTP status, none without an answer.",
                &["feed", "endpoint", "code"],
            )?,
            api_response_bytes: counter(
                "api_response_bytes_total",
                "Bytes of answers, decompressed.",
                &["feed", "endpoint"],
            )?,
            api_retries: counter(
                "api_retries_total",
                "Requests that were repeated, by reason.",
                &["feed", "reason"],
            )?,
            rate_limit_waits: counter(
                "api_rate_limit_waits_total",
                "Requests that waited: for our own budget, or because the feed throttled us.",
                &["feed", "reason"],
            )?,
            rate_limit_wait_seconds: seconds,
            purge_guard_trips: counter(
                "purge_guard_trips_total",
                "Purge plans that were refused, by the limit they broke.",
                &["feed", "resource", "reason"],
            )?,
            media_refreshes: counter(
                "media_refreshes_total",
                "Sets of a relation that were fetched and differed from ours.",
                &["feed", "resource"],
            )?,
            media_skipped: counter(
                "media_refreshes_skipped_total",
                "Sets of a relation that were fetched and equalled ours.",
                &["feed", "resource"],
            )?,
            media_failures: counter("media_refresh_failures_total", "Media refreshes that failed.", FEED)?,
            db_errors: counter(
                "db_errors_total",
                "Statements that failed, by class of SQLSTATE; io without an answer.",
                &["operation", "sqlstate_class"],
            )?,
            lease_transitions: counter(
                "lease_transitions_total",
                "Times this process took the lease of a feed.",
                FEED,
            )?,
            webhook_deliveries: counter(
                "webhook_deliveries_total",
                "Deliveries that reached this process, by what they were answered; feed is empty where they named none of ours.",
                &["feed", "result"],
            )?,
            webhook_events: counter(
                "webhook_events_total",
                "Events in deliveries that were taken, by what became of them.",
                &["feed", "result"],
            )?,
        })
    }
}

impl Gauges {
    pub(super) fn register(registry: &Registry) -> Registered<Self> {
        let gauge = |name: &str, help: &str, labels: &[&str]| -> Registered<GaugeVec> {
            let family = GaugeVec::new(Opts::new(full(name), help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let single = |name: &str, help: &str| -> Registered<Gauge> {
            let family = Gauge::new(full(name), help)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        Ok(Self {
            build_info: gauge(
                "build_info",
                "Constant 1; the labels say what runs.",
                &["version", "revision"],
            )?,
            sync_interval: gauge(
                "sync_interval_seconds",
                "Configured time from one update to the next; one series per replicated resource.",
                BOTH,
            )?,
            sync_lag_objective: gauge(
                "sync_lag_objective_seconds",
                "Configured lag up to which the resource is fresh.",
                BOTH,
            )?,
            complete_through: gauge(
                "sync_complete_through_timestamp_seconds",
                "Begin of the last complete pass by the feed's clock: everything the feed showed then is here. Absent before the first download.",
                BOTH,
            )?,
            last_success: gauge("sync_last_success_timestamp_seconds", "When a pass last ended well.", BOTH)?,
            last_attempt: gauge("sync_last_attempt_timestamp_seconds", "When a run last began.", BOTH)?,
            watermark: gauge(
                "sync_watermark_timestamp_seconds",
                "Newest ModificationTimestamp committed; stands still while the MLS sleeps.",
                BOTH,
            )?,
            last_duration: gauge(
                "sync_last_duration_seconds",
                "How long the last run took.",
                &["feed", "resource", "job_name"],
            )?,
            rows: gauge("rows", "Rows held.", BOTH)?,
            in_flight: gauge("api_in_flight_requests", "Requests on their way.", FEED)?,
            rate_limit_share: gauge(
                "api_rate_limit_share",
                "Share of the configured budget that the key may use, as learnt from refusals.",
                FEED,
            )?,
            rate_limit_requests: gauge(
                "api_rate_limit_requests",
                "Requests that the configured budget allows in five minutes.",
                FEED,
            )?,
            feed_blocked: gauge(
                "feed_blocked",
                "1 while the feed stands still until somebody acts.",
                &["feed", "reason"],
            )?,
            feed_paused: gauge("feed_paused", "1 while an operator has paused the feed.", FEED)?,
            token_obtained: gauge(
                "oauth_token_obtained_timestamp_seconds",
                "When the feed's tokens were issued.",
                FEED,
            )?,
            token_expiry: gauge(
                "oauth_token_expiry_timestamp_seconds",
                "When the feed's access token ends; it is refreshed at half its life.",
                FEED,
            )?,
            clock_skew: gauge("feed_clock_skew_seconds", "The feed's clock less Postgres'.", FEED)?,
            download_active: gauge(
                "initial_download_active",
                "1 while the first download is not complete.",
                BOTH,
            )?,
            download_expected: gauge(
                "initial_download_expected_records",
                "The feed's count when the download began.",
                BOTH,
            )?,
            download_processed: gauge(
                "initial_download_processed_records",
                "Records committed so far, kept over restarts.",
                BOTH,
            )?,
            download_start: gauge(
                "initial_download_start_timestamp_seconds",
                "When the download began.",
                BOTH,
            )?,
            download_progress: gauge(
                "initial_download_last_progress_timestamp_seconds",
                "When it last committed a page.",
                BOTH,
            )?,
            purge_last_success: gauge(
                "purge_last_success_timestamp_seconds",
                "When a complete sweep last ended.",
                BOTH,
            )?,
            purge_interval: gauge(
                "purge_interval_seconds",
                "The longest time between two sweeps that purge_at names.",
                BOTH,
            )?,
            removal_deadline: gauge(
                "removal_deadline_seconds",
                "How long the licence lets a removed record stay; absent if the configuration names no time.",
                FEED,
            )?,
            purge_candidates: gauge(
                "purge_candidate_records",
                "Rows that the last key list did not have.",
                BOTH,
            )?,
            purge_guard_tripped: gauge(
                "purge_guard_tripped",
                "1 while a purge plan waits for approval.",
                BOTH,
            )?,
            media_queue: gauge("media_queue_size", "Sets of relations that are due.", FEED)?,
            media_queue_oldest: gauge(
                "media_queue_oldest_timestamp_seconds",
                "Since when the oldest of them is due; absent while none is.",
                FEED,
            )?,
            quarantined: gauge("quarantined_records", "Records that could not be taken in.", BOTH)?,
            db_up: single("db_up", "1 if Postgres answered the last question.")?,
            db_pool: gauge("db_pool_connections", "Connections to Postgres, by state.", &["state"])?,
            db_pool_max: single("db_pool_max_connections", "The most connections that are opened.")?,
            lease_held: gauge("lease_held", "1 while this process leads the feed.", FEED)?,
            event_queue: gauge("event_queue_size", "Keys that events named and that wait to be read.", FEED)?,
            event_queue_oldest: gauge(
                "event_queue_oldest_timestamp_seconds",
                "When the oldest of them was delivered; absent while none waits.",
                FEED,
            )?,
        })
    }
}

impl Histograms {
    pub(super) fn register(registry: &Registry) -> Registered<Self> {
        let histogram =
            |name: &str, help: &str, labels: &[&str], buckets: &[f64]| -> Registered<HistogramVec> {
                let options = HistogramOpts::new(full(name), help).buckets(buckets.to_vec());
                let family = HistogramVec::new(options, labels)?;
                registry.register(Box::new(family.clone()))?;
                Ok(family)
            };
        let acquire = Histogram::with_opts(
            HistogramOpts::new(
                full("db_pool_acquire_duration_seconds"),
                "How long a connection was waited for.",
            )
            .buckets(vec![0.001, 0.01, 0.1, 1.0, 5.0]),
        )?;
        registry.register(Box::new(acquire.clone()))?;
        Ok(Self {
            record_delay: histogram(
                "record_delay_seconds",
                "From a record's ModificationTimestamp to its commit, for rows that an update changed.",
                BOTH,
                &[60.0, 300.0, 900.0, 1800.0, 3600.0, 21_600.0, 86_400.0],
            )?,
            event_delay: histogram(
                "event_delay_seconds",
                "From the delivery of an event to the commit of what its key showed.",
                BOTH,
                &[1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0],
            )?,
            api_duration: histogram(
                "api_request_duration_seconds",
                "One attempt, from its sending to its last byte.",
                &["feed", "endpoint"],
                &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0],
            )?,
            db_duration: histogram(
                "db_operation_duration_seconds",
                "One operation of the store, waiting for a connection included.",
                &["operation"],
                &[0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0],
            )?,
            db_acquire: acquire,
        })
    }
}

fn full(name: &str) -> String {
    format!("spark_replicator_{name}")
}
