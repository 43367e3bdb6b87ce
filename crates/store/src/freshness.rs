//! How stale each feed and resource is, and why: the view `replicator.freshness`, for the status page and the
//! command line. No lease is needed to look.

use sqlx::Row;
use sqlx::postgres::PgRow;

use spark_domain::{FeedName, Resource, Timestamp};

use crate::connection::Store;
use crate::error::Error;
use crate::feed::{Blocked, Paused};
use crate::resource::Off;
use crate::text;

sql! {
    FRESHNESS = "select feed, resource, complete_through_at, last_success_at, last_attempt_at, watermark_at, \
        initial_download_completed_at, last_sweep_completed_at, rows, download_began_at, download_progress_at, \
        download_processed, download_expected, off_at, off_reason, blocked_at, blocked_reason, paused_at, paused_by, \
        clock_skew_seconds, plan_refusal, why from replicator.freshness";
}

/// One resource of one feed. Times are moments; their age is the reader's business.
#[derive(Debug, Clone, PartialEq)]
pub struct Freshness {
    /// The feed.
    pub feed: FeedName,
    /// The resource.
    pub resource: Resource,
    /// By the feed's clock: every change up to here is in `mls`.
    pub complete_through_at: Option<Timestamp>,
    /// When a pass last came to its end.
    pub last_success_at: Option<Timestamp>,
    /// When a run last began.
    pub last_attempt_at: Option<Timestamp>,
    /// The newest ModificationTimestamp seen.
    pub watermark_at: Option<Timestamp>,
    /// When the first download was complete.
    pub initial_download_completed_at: Option<Timestamp>,
    /// When the last complete sweep was.
    pub last_sweep_completed_at: Option<Timestamp>,
    /// Rows held in `mls`.
    pub rows: i64,
    /// When the first download or the resync under way began.
    pub download_began_at: Option<Timestamp>,
    /// When its last page was committed.
    pub download_progress_at: Option<Timestamp>,
    /// Records that it has read.
    pub download_processed: Option<u64>,
    /// `$count` at its beginning.
    pub download_expected: Option<u64>,
    /// The guard that refused the open purge plan, while nobody has approved it.
    pub plan_refusal: Option<String>,
    /// The resource is turned off.
    pub off: Option<Off>,
    /// The feed is blocked.
    pub blocked: Option<Blocked>,
    /// The feed is paused.
    pub paused: Option<Paused>,
    /// The feed's clock less Postgres', in seconds.
    pub clock_skew_seconds: Option<f64>,
    /// What keeps it from being in step, in words; `in step` if nothing does.
    pub why: String,
}

impl Store {
    /// Every configured resource of every feed, in the order in which they are first downloaded.
    pub async fn freshness(&self) -> Result<Vec<Freshness>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows = sqlx::query(FRESHNESS).fetch_all(unit.conn()).await?;
            unit.done();
            let mut all = rows.iter().map(freshness).collect::<Result<Vec<_>, _>>()?;
            all.sort_by(|a, b| (&a.feed, a.resource).cmp(&(&b.feed, b.resource)));
            Ok(all)
        })
        .await
    }
}

fn freshness(row: &PgRow) -> Result<Freshness, Error> {
    let moment = |column: &str| row.try_get::<Option<Timestamp>, _>(column);
    let words = |column: &str| row.try_get::<Option<String>, _>(column);
    let number = |column: &str| row.try_get::<Option<i64>, _>(column).map(|number| number.map(text::whole));
    Ok(Freshness {
        feed: text::feed(row.try_get("feed")?)?,
        resource: text::resource(row.try_get("resource")?)?,
        complete_through_at: moment("complete_through_at")?,
        last_success_at: moment("last_success_at")?,
        last_attempt_at: moment("last_attempt_at")?,
        watermark_at: moment("watermark_at")?,
        initial_download_completed_at: moment("initial_download_completed_at")?,
        last_sweep_completed_at: moment("last_sweep_completed_at")?,
        rows: row.try_get("rows")?,
        download_began_at: moment("download_began_at")?,
        download_progress_at: moment("download_progress_at")?,
        download_processed: number("download_processed")?,
        download_expected: number("download_expected")?,
        plan_refusal: words("plan_refusal")?,
        off: moment("off_at")?.zip(words("off_reason")?).map(|(at, reason)| Off { at, reason }),
        blocked: moment("blocked_at")?
            .zip(words("blocked_reason")?)
            .map(|(at, reason)| Blocked { at, reason }),
        paused: moment("paused_at")?.zip(words("paused_by")?).map(|(at, by)| Paused { at, by }),
        clock_skew_seconds: row.try_get("clock_skew_seconds")?,
        why: row.try_get("why")?,
    })
}
