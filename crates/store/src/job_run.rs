//! What was done: one row per run of a job, counted while it runs.
//!
//! A run that its process did not live to end stays `running`; the next run of the feed, under another epoch
//! or of the same job, marks it `abandoned`.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use spark_domain::{FeedName, Job, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::text;

sql! {
    ABANDON = "update replicator.job_run set outcome = 'abandoned', ended_at = clock_timestamp() \
        where feed = $1 and outcome = 'running' and (epoch <> $2 or (resource = $3 and job = $4))";
    BEGIN = "insert into replicator.job_run (feed, epoch, resource, job, holder) values ($1, $2, $3, $4, $5) \
        returning run";
    ATTEMPT = "insert into replicator.checkpoint (feed, resource, job, last_attempt_at) \
        values ($1, $2, $3, clock_timestamp()) on conflict (feed, resource, job) \
        do update set last_attempt_at = excluded.last_attempt_at, due_at = null";
    ATTEMPT_RESOURCE = "update replicator.resource set last_attempt_at = clock_timestamp() \
        where feed = $1 and resource = $2";
    PROGRESS = "update replicator.job_run set progress_at = clock_timestamp(), pages = pages + $3, \
        inserted = inserted + $4, updated = updated + $5, unchanged = unchanged + $6, deleted = deleted + $7, \
        rejected = rejected + $8, older = older + $9, requests = requests + $10, bytes = bytes + $11 \
        where feed = $1 and run = $2";
    END = "update replicator.job_run set ended_at = clock_timestamp(), outcome = $12, reason = $13, message = $14, \
        pages = greatest(pages, $3), inserted = greatest(inserted, $4), updated = greatest(updated, $5), \
        unchanged = greatest(unchanged, $6), deleted = greatest(deleted, $7), rejected = greatest(rejected, $8), \
        older = greatest(older, $9), requests = greatest(requests, $10), bytes = greatest(bytes, $11) \
        where feed = $1 and run = $2 and outcome = 'running' returning resource, job";
    SETTLE = "update replicator.checkpoint set due_at = least(due_at, $4), \
        last_success_at = case when $5 = 'success' then clock_timestamp() else last_success_at end, \
        failures = case $5 when 'success' then 0 when 'cancelled' then failures else failures + 1 end \
        where feed = $1 and resource = $2 and job = $3";
    FORGET = "delete from replicator.job_run where feed = $1 and run in (select run from replicator.job_run \
        where feed = $1 and began_at < clock_timestamp() - interval '30 days' and outcome <> 'running' \
        order by began_at limit 500)";
    RECENT = "select feed, run, resource, job, outcome, reason, message, began_at, progress_at, ended_at, pages, \
        inserted, updated, unchanged, deleted, rejected, older, requests, bytes from replicator.job_run \
        where $1::text is null or feed = $1 order by began_at desc, run desc limit $2";
}

/// Identifies a run within its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

impl RunId {
    /// Of what happens between runs: no row has this number.
    pub const NONE: Self = Self(0);
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It came to its proper end.
    Success,
    /// It could not go on.
    Failed,
    /// The process or the lease ended first; that counts as no failure.
    Cancelled,
    /// The feed refused the token, or a guard the plan.
    Refused,
}

/// What a run has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a count of what its name says; bytes are decompressed")]
pub struct RunTotals {
    pub pages: u64,
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub deleted: u64,
    pub rejected: u64,
    pub older: u64,
    pub requests: u64,
    pub bytes: u64,
}

/// The end of a run.
#[derive(Debug, Clone, Copy)]
pub struct RunEnd<'a> {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, as the metric label says it.
    pub reason: Option<&'a str>,
    /// Why, for people.
    pub message: Option<&'a str>,
    /// When to try again, if not by the schedule; an earlier order stays.
    pub due_at: Option<Timestamp>,
    /// What it did in all; counts that its pages have already booked are not added twice.
    pub totals: RunTotals,
}

/// A run, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRun {
    /// Of which feed.
    pub feed: FeedName,
    /// Its number.
    pub run: RunId,
    /// Of which resource.
    pub resource: Resource,
    /// Which job.
    pub job: Job,
    /// `running`, `success`, `failed`, `cancelled`, `refused` or `abandoned`.
    pub outcome: String,
    /// Why, as the metric label says it.
    pub reason: Option<String>,
    /// Why, for people.
    pub message: Option<String>,
    /// When it began.
    pub began_at: Timestamp,
    /// When its last page was committed.
    pub progress_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it did, or has done so far.
    pub totals: RunTotals,
}

impl Outcome {
    /// Its word in column `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
        }
    }
}

impl Store {
    /// Begins a run: the attempt is noted, an order for it is carried out by it.
    pub async fn begin_run(&self, lease: &Lease, resource: Resource, job: Job) -> Result<RunId, Error> {
        self.observed("state", async {
            let (feed, resource, job) = (lease.feed().as_str(), resource.as_str(), job.as_str());
            let mut writing = self.begin_write(lease).await?;
            let abandon = sqlx::query(ABANDON).bind(feed).bind(lease.epoch()).bind(resource).bind(job);
            abandon.execute(writing.conn()).await?;
            let begin = sqlx::query_scalar(BEGIN).bind(feed).bind(lease.epoch()).bind(resource).bind(job);
            let run = begin.bind(lease.holder()).fetch_one(writing.conn()).await?;
            sqlx::query(ATTEMPT).bind(feed).bind(resource).bind(job).execute(writing.conn()).await?;
            sqlx::query(ATTEMPT_RESOURCE).bind(feed).bind(resource).execute(writing.conn()).await?;
            writing.commit(Boundary::BeginRun).await?;
            Ok(RunId(run))
        })
        .await
    }

    /// Ends a run and settles its job's schedule: a success clears the failures in a row. A run that is over
    /// already is left as it is. Runs older than 30 days are forgotten here, 500 at a time.
    pub async fn end_run(&self, lease: &Lease, run: RunId, end: &RunEnd<'_>) -> Result<(), Error> {
        self.observed("state", async {
            let feed = lease.feed().as_str();
            let outcome = end.outcome.as_str();
            let mut writing = self.begin_write(lease).await?;
            let query = with_totals(sqlx::query(END).bind(feed).bind(run.0), &end.totals);
            let query = query.bind(outcome).bind(end.reason).bind(end.message);
            if let Some(row) = query.fetch_optional(writing.conn()).await? {
                let settle = sqlx::query(SETTLE)
                    .bind(feed)
                    .bind(row.try_get::<&str, _>("resource")?)
                    .bind(row.try_get::<&str, _>("job")?)
                    .bind(end.due_at)
                    .bind(outcome);
                settle.execute(writing.conn()).await?;
            }
            sqlx::query(FORGET).bind(feed).execute(writing.conn()).await?;
            writing.commit(Boundary::EndRun).await
        })
        .await
    }

    /// The newest runs of one feed or of all, those under way included.
    pub async fn recent_runs(&self, feed: Option<&FeedName>, limit: i64) -> Result<Vec<JobRun>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let recent = sqlx::query(RECENT).bind(feed.map(FeedName::as_str)).bind(limit);
            let rows = recent.fetch_all(unit.conn()).await?;
            unit.done();
            rows.iter().map(job_run).collect()
        })
        .await
    }
}

/// Adds a page's counts to a run's row, in the page's own transaction.
pub(crate) async fn progress(
    conn: &mut PgConnection,
    lease: &Lease,
    run: RunId,
    done: &RunTotals,
) -> Result<(), Error> {
    let progress = sqlx::query(PROGRESS).bind(lease.feed().as_str()).bind(run.0);
    with_totals(progress, done).execute(conn).await?;
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Binds nine counts, in the order of the fields.
fn with_totals<'q>(query: Query<'q>, totals: &RunTotals) -> Query<'q> {
    [
        totals.pages,
        totals.inserted,
        totals.updated,
        totals.unchanged,
        totals.deleted,
        totals.rejected,
        totals.older,
        totals.requests,
        totals.bytes,
    ]
    .into_iter()
    .fold(query, |query, number| query.bind(text::count(number)))
}

fn job_run(row: &PgRow) -> Result<JobRun, Error> {
    let number = |column: &str| row.try_get::<i64, _>(column).map(text::whole);
    Ok(JobRun {
        feed: text::feed(row.try_get("feed")?)?,
        run: RunId(row.try_get("run")?),
        resource: text::resource(row.try_get("resource")?)?,
        job: text::job(row.try_get("job")?)?,
        outcome: row.try_get("outcome")?,
        reason: row.try_get("reason")?,
        message: row.try_get("message")?,
        began_at: row.try_get("began_at")?,
        progress_at: row.try_get("progress_at")?,
        ended_at: row.try_get("ended_at")?,
        totals: RunTotals {
            pages: number("pages")?,
            inserted: number("inserted")?,
            updated: number("updated")?,
            unchanged: number("unchanged")?,
            deleted: number("deleted")?,
            rejected: number("rejected")?,
            older: number("older")?,
            requests: number("requests")?,
            bytes: number("bytes")?,
        },
    })
}
