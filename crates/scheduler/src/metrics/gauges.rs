//! Gauges that are read from the store: the clocks live in Postgres, so a restart and a stand-by show them too.

use std::sync::Arc;
use std::time::Duration;

use prometheus::GaugeVec;
use spark_domain::{FeedName, Timestamp};
use spark_store::{Freshness, Store};
use tokio_util::sync::CancellationToken;

use super::Metrics;
use crate::error::chain;

/// How often the gauges are read anew.
const EVERY: Duration = Duration::from_secs(5);

/// Refreshes until told to stop. While Postgres is away the clocks keep their last value, which is the truth.
/// `signed_in` are the feeds that this process is configured to sign in to: what else has tokens at rest is no news.
pub(crate) async fn refresh(
    store: Store,
    metrics: Arc<Metrics>,
    signed_in: Vec<FeedName>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = once(&store, &metrics, &signed_in) => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn once(store: &Store, metrics: &Metrics, signed_in: &[FeedName]) {
    let pool = store.pool_state();
    let gauges = &metrics.gauges;
    gauges.db_pool.with_label_values(&["idle"]).set(pool.idle.into());
    gauges.db_pool.with_label_values(&["in_use"]).set(pool.in_use.into());
    gauges.db_pool_max.set(pool.max.into());
    match store.freshness().await {
        Ok(rows) => {
            gauges.db_up.set(1.0);
            for row in &rows {
                clocks(metrics, row);
            }
            for feed in rows.iter().map(|row| &row.feed).collect::<std::collections::BTreeSet<_>>() {
                queue(store, metrics, feed).await;
            }
            tokens(store, metrics, signed_in).await;
        }
        Err(error) => {
            gauges.db_up.set(0.0);
            tracing::debug!(error = chain(&error), "the gauges could not be read");
        }
    }
}

fn clocks(metrics: &Metrics, row: &Freshness) {
    let labels = [row.feed.as_str(), row.resource.as_str()];
    let gauges = &metrics.gauges;
    moment(&gauges.complete_through, &labels, row.complete_through_at);
    moment(&gauges.last_success, &labels, row.last_success_at);
    moment(&gauges.last_attempt, &labels, row.last_attempt_at);
    moment(&gauges.watermark, &labels, row.watermark_at);
    moment(&gauges.purge_last_success, &labels, row.last_sweep_completed_at);
    moment(&gauges.download_start, &labels, row.download_began_at);
    moment(&gauges.download_progress, &labels, row.download_progress_at);
    amount(&gauges.rows, &labels, Some(row.rows));
    amount(&gauges.download_expected, &labels, row.download_expected.map(u64::cast_signed));
    amount(&gauges.download_processed, &labels, row.download_processed.map(u64::cast_signed));
    let active = row.initial_download_completed_at.is_none() && row.off.is_none();
    gauges.download_active.with_label_values(&labels).set(f64::from(u8::from(active)));
    let held = f64::from(u8::from(row.plan_refusal.is_some()));
    gauges.purge_guard_tripped.with_label_values(&labels).set(held);
    let feed = &labels[..1];
    gauges.feed_blocked.with_label_values(&[feed[0], "auth"]).set(f64::from(u8::from(row.blocked.is_some())));
    gauges.feed_paused.with_label_values(feed).set(f64::from(u8::from(row.paused.is_some())));
    if let Some(skew) = row.clock_skew_seconds {
        gauges.clock_skew.with_label_values(feed).set(skew);
    }
}

async fn tokens(store: &Store, metrics: &Metrics, signed_in: &[FeedName]) {
    let Ok(lives) = store.oauth_token_lives().await else { return };
    for feed in signed_in {
        let life = lives.iter().find(|life| life.feed == *feed);
        let feed = [feed.as_str()];
        moment(&metrics.gauges.token_obtained, &feed, life.map(|life| life.obtained_at));
        moment(&metrics.gauges.token_expiry, &feed, life.map(|life| life.expires_at));
    }
}

async fn queue(store: &Store, metrics: &Metrics, feed: &FeedName) {
    let gauges = &metrics.gauges;
    if let Ok(queue) = store.relation_queue(feed).await {
        amount(&gauges.media_queue, &[feed.as_str()], Some(queue.due));
        moment(&gauges.media_queue_oldest, &[feed.as_str()], queue.oldest_due_at);
    }
    if let Ok(queue) = store.event_queue(feed).await {
        amount(&gauges.event_queue, &[feed.as_str()], Some(queue.unread));
        moment(&gauges.event_queue_oldest, &[feed.as_str()], queue.oldest_received_at);
    }
    if let Ok(counts) = store.quarantine_counts(feed).await {
        for (resource, count) in counts {
            amount(&gauges.quarantined, &[feed.as_str(), resource.as_str()], Some(count));
        }
    }
}

/// A time is absent until it is true, never 0 or -1.
fn moment(family: &GaugeVec, labels: &[&str], at: Option<Timestamp>) {
    match at {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
        Some(at) => family.with_label_values(labels).set(at.timestamp_millis() as f64 / 1000.0),
        None => {
            let _ = family.remove_label_values(labels);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "row counts")]
fn amount(family: &GaugeVec, labels: &[&str], count: Option<i64>) {
    match count {
        Some(count) => family.with_label_values(labels).set(count as f64),
        None => {
            let _ = family.remove_label_values(labels);
        }
    }
}
