//! The numbers of a feed that hardly anybody touches: `purge_guard`, `requests` and `timing`.

use std::time::Duration;

use super::super::cron::Cron;
use super::super::section::Section;
use super::super::units;

/// `[feeds.NAME.purge_guard]`: what a purge may delete without a person's approval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PurgeGuard {
    pub(crate) floor_records: u64,
    pub(crate) ratio: f64,
    pub(crate) max_records: u64,
    pub(crate) max_ratio: f64,
    pub(crate) small_table_rows: u64,
    pub(crate) small_table_floor: u64,
    pub(crate) small_table_ratio: f64,
}

/// `[feeds.NAME.requests]`: how one request is made and repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) total_timeout: Duration,
    pub(crate) attempts: u32,
    pub(crate) backoff_base: Duration,
    pub(crate) backoff_cap: Duration,
    pub(crate) sync_wait: Duration,
    pub(crate) sync_patience: Duration,
    pub(crate) throttled_silence: Duration,
}

/// `[feeds.NAME.timing]`: when the quieter jobs are due.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    pub(crate) lookback_at: Cron,
    pub(crate) lookback_window: Duration,
    pub(crate) daily_every: Duration,
    pub(crate) refusal_gap: Duration,
    pub(crate) probe_every: Duration,
    pub(crate) retry_unit: Duration,
}

impl PurgeGuard {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let count = || units::number(0, 1_000_000_000);
        let floor_records = section.value("floor_records", "100", count());
        let ratio = section.value("ratio", "0.05", units::ratio);
        let max_records = section.value("max_records", "5000", count());
        let max_ratio = section.value("max_ratio", "0.01", units::ratio);
        let small_table_rows = section.value("small_table_rows", "1000", count());
        let small_table_floor = section.value("small_table_floor", "10", count());
        let small_table_ratio = section.value("small_table_ratio", "0.3", units::ratio);
        section.finish(&[
            "floor_records",
            "ratio",
            "max_records",
            "max_ratio",
            "small_table_rows",
            "small_table_floor",
            "small_table_ratio",
        ]);
        Some(Self {
            floor_records: floor_records?,
            ratio: ratio?,
            max_records: max_records?,
            max_ratio: max_ratio?,
            small_table_rows: small_table_rows?,
            small_table_floor: small_table_floor?,
            small_table_ratio: small_table_ratio?,
        })
    }
}

impl Requests {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let time = units::positive_duration;
        let connect_timeout = section.value("connect_timeout", "10s", time);
        let read_timeout = section.value("read_timeout", "30s", time);
        let total_timeout = section.value("total_timeout", "120s", time);
        let attempts = section.value("attempts", "6", units::small_number(1, 100));
        let backoff_base = section.value("backoff_base", "1s", time);
        let backoff_cap = section.value("backoff_cap", "60s", time);
        let sync_wait = section.value("sync_wait", "60s", time);
        let sync_patience = section.value("sync_patience", "10m", time);
        let throttled_silence = section.value("throttled_silence", "5m", time);
        section.finish(&[
            "connect_timeout",
            "read_timeout",
            "total_timeout",
            "attempts",
            "backoff_base",
            "backoff_cap",
            "sync_wait",
            "sync_patience",
            "throttled_silence",
        ]);
        Some(Self {
            connect_timeout: connect_timeout?,
            read_timeout: read_timeout?,
            total_timeout: total_timeout?,
            attempts: attempts?,
            backoff_base: backoff_base?,
            backoff_cap: backoff_cap?,
            sync_wait: sync_wait?,
            sync_patience: sync_patience?,
            throttled_silence: throttled_silence?,
        })
    }
}

impl Timing {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let time = units::positive_duration;
        let lookback_at = section.value("lookback_at", "30 3 * * *", Cron::parse);
        let lookback_window = section.value("lookback_window", "48h", time);
        let daily_every = section.value("daily_every", "1d", time);
        let refusal_gap = section.value("refusal_gap", "1m", time);
        let probe_every = section.value("probe_every", "15m", time);
        let retry_unit = section.value("retry_unit", "1m", time);
        section.finish(&[
            "lookback_at",
            "lookback_window",
            "daily_every",
            "refusal_gap",
            "probe_every",
            "retry_unit",
        ]);
        Some(Self {
            lookback_at: lookback_at?,
            lookback_window: lookback_window?,
            daily_every: daily_every?,
            refusal_gap: refusal_gap?,
            probe_every: probe_every?,
            retry_unit: retry_unit?,
        })
    }
}
