//! `/metrics` held against the list that people read.

use std::collections::BTreeSet;
use std::path::Path;

use super::stage::Stage;
use super::webhooks::with_webhook;

/// Families of the list that are absent until what they tell has happened.
const ABSENT_UNTIL_TRUE: [&str; 18] = [
    "spark_replicator_db_errors_total",
    "spark_replicator_event_delay_seconds",
    "spark_replicator_event_queue_oldest_timestamp_seconds",
    "spark_replicator_feed_clock_skew_seconds",
    "spark_replicator_initial_download_expected_records",
    "spark_replicator_initial_download_last_progress_timestamp_seconds",
    "spark_replicator_initial_download_processed_records",
    "spark_replicator_initial_download_start_timestamp_seconds",
    "spark_replicator_media_queue_oldest_timestamp_seconds",
    "spark_replicator_oauth_token_expiry_timestamp_seconds",
    "spark_replicator_oauth_token_obtained_timestamp_seconds",
    "spark_replicator_purge_candidate_records",
    "spark_replicator_purge_guard_trips_total",
    "spark_replicator_purge_last_success_timestamp_seconds",
    "spark_replicator_quarantined_records",
    "spark_replicator_record_delay_seconds",
    "spark_replicator_removal_deadline_seconds",
    "spark_replicator_schema_drift_total",
];

/// The names in the first column of `deploy/metrics.md`.
fn documented() -> BTreeSet<String> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/metrics.md");
    let list = std::fs::read_to_string(list).unwrap();
    let rows = list.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).filter(|name| name.contains('_')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_are_those_that_are_documented_each_series_once() {
    let stage = with_webhook(Stage::new("exposition", 60).await, "300ms", "1s");
    let daemon = stage.daemon();
    stage.until_complete().await;
    // Nothing is due before the first of it was asked for, too.
    let fetched = "select exists (select from mls.media) \
                   and not exists (select from replicator.relation_set where due_at is not null)";
    stage.until("media is fetched", fetched).await;
    stage.change_arrives("Counted").await;
    let answer = daemon.metrics_with("spark_replicator_sync_complete_through_timestamp_seconds");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);

    let text = &answer.body;
    let exposed: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    let documented = documented();
    let unknown: Vec<_> = exposed.difference(&documented).collect();
    assert!(unknown.is_empty(), "not in deploy/metrics.md: {unknown:?}");
    let late: BTreeSet<String> = ABSENT_UNTIL_TRUE.iter().map(|name| (*name).to_owned()).collect();
    let missing: Vec<_> = documented.difference(&exposed).filter(|name| !late.contains(*name)).collect();
    assert!(missing.is_empty(), "documented and not exposed: {missing:?}");
    assert!(late.is_subset(&documented), "{:?}", late.difference(&documented));

    let list = include_str!("../../../../deploy/metrics.md");
    let retries = list.lines().find(|line| line.contains("`spark_replicator_api_retries_total`")).unwrap();
    for line in text.lines().filter(|line| line.starts_with("spark_replicator_api_retries_total{")) {
        let reason = line.split("reason=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert!(retries.contains(reason), "the reason {reason} is not in deploy/metrics.md");
    }
    for reason in ["link_refused", "new_token"] {
        let series = format!("spark_replicator_api_retries_total{{feed=\"beaches\",reason=\"{reason}\"}}");
        assert!(text.contains(&series), "{series} is not there before it first happens");
    }

    let series: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect();
    let distinct: BTreeSet<&&str> = series.iter().collect();
    assert_eq!(distinct.len(), series.len(), "a series appears twice");
    assert!(series.len() < 1_200, "{} series for one feed", series.len());
}
