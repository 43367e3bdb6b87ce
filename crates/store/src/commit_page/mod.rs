//! A page of records and its checkpoint, in one transaction (P2): the one way to write for all jobs.
//!
//! Ask before you write: the page's keys are looked up with hash and stamp, `domain::plan` decides, and only
//! what changed is converted and sent. An unchanged page leaves no trace in `mls`. Whatever depends on a
//! record's acceptance (relations due, keys to read again, quarantine, the sweep's list of seen keys) is
//! written in the same transaction, so that no crash can part them.
//!
//! Rule: the row of the resource is locked first. Every writer of a resource's records, relations and purges
//! does so; they take turns, and none sees another's half.

mod halving;
mod upsert;
mod verdicts;
mod settle;

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{PgConnection, raw_sql};

use spark_domain::{
    Breakage, Checkpoint, Hash, Job, Record, RecordKey, Rejected, Relation, Resource, Shape, Timestamp,
};

use crate::boundary::Boundary;
use crate::columns::ByResource;
use crate::connection::Store;
use crate::error::Error;
use crate::job_run::{RunId, RunTotals};
use crate::lease::Lease;
use crate::resource::Finish;
use crate::sweep::{SweepId, SweepPage};
use crate::{checkpoint, job_run, relations, resource, sweep};

pub(crate) use halving::Halving;
pub(crate) use settle::Accepted;
pub(crate) use verdicts::held;

sql! {
    LOCK_RESOURCE = "select clock_timestamp(), watermark_at, case when sweep_job is not null then last_sweep end \
        from replicator.resource where feed = $1 and resource = $2 for no key update";
    ADVANCE = "update replicator.resource set watermark_at = greatest(watermark_at, $3), rows_held = rows_held + $4 \
        where feed = $1 and resource = $2";
}

pub(crate) const VERDICT_STATEMENTS: &[(&str, &str)] = verdicts::STATEMENTS;

/// The statements of this folder that exist once per table.
pub(crate) fn per_table() -> impl Iterator<Item = &'static ByResource> {
    upsert::PER_TABLE.into_iter().chain(verdicts::PER_TABLE)
}

/// What a page brings, and what depends on it.
#[derive(Debug)]
pub struct PageCommit<'a> {
    /// The run whose progress this is.
    pub run: RunId,
    /// Whose records.
    pub resource: Resource,
    /// Whose checkpoint.
    pub job: Job,
    /// As the records were read.
    pub shape: &'a Shape,
    /// The records that could be read.
    pub records: &'a [Record<'a>],
    /// Those that could not: they go to quarantine.
    pub rejected: &'a [Rejected],
    /// The relations configured for this resource.
    pub relations: &'a [Relation],
    /// Those that were asked for with this page.
    pub expanded: &'a [Relation],
    /// Whether changed records make their relations due; not in a first download, which a fill walk follows.
    pub mark_relations: bool,
    /// Rewinds and returns that readings by key confirmed: taken whatever their stamps say.
    pub confirmed: &'a Confirmed,
    /// How long the feed may serve stale copies.
    pub cache_window: Duration,
    /// Stages the page's keys as a page of this sweep (lookups sweep and download in one walk).
    pub stage_keys: Option<SweepPage>,
    /// The position after this page; none for readings by key.
    pub checkpoint: Option<&'a Checkpoint>,
    /// Set with the last page of a pass.
    pub finish: Option<Finish>,
}

/// Keys that readings by key confirmed, each with the content of ours that its reading was compared with; none
/// where we held none. A copy that reached us since is not replaced on the word of such a reading.
pub type Confirmed = HashMap<RecordKey, Option<Hash>>;

/// What a page changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageOutcome {
    /// Records we did not have.
    pub inserted: u64,
    /// Records that differed.
    pub updated: u64,
    /// Records equal to ours.
    pub unchanged: u64,
    /// Records older than ours, to be read again by key.
    pub older: u64,
    /// Records that went to quarantine.
    pub rejected: u64,
    /// Keys that came back right after their purge and wait for a reading by key.
    pub held: u64,
    /// The newest ModificationTimestamp ever accepted for the resource.
    pub watermark: Option<Timestamp>,
    /// How old each written record was, in seconds since its ModificationTimestamp.
    pub delays: Vec<f64>,
    /// Values that did not fit their typed column: NULL there, and still in `body`.
    pub column_nulls: u64,
}

/// What the locked row of a resource says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockedResource {
    /// Postgres' clock, once the turn was ours.
    pub(crate) now: Timestamp,
    pub(crate) watermark: Option<Timestamp>,
    /// The sweep under way, which is told of every key that is seen.
    pub(crate) open_sweep: Option<SweepId>,
}

impl Store {
    /// Commits a page: records, quarantine, relations due, keys seen, progress, watermark and checkpoint.
    pub async fn commit_page(&self, lease: &Lease, page: &PageCommit<'_>) -> Result<PageOutcome, Error> {
        self.observed("upsert", async {
            let mut writing = self.begin_write(lease).await?;
            let outcome = commit(writing.conn(), lease, page).await?;
            writing.commit(Boundary::CommitPage).await?;
            Ok(outcome)
        })
        .await
    }
}

async fn commit(
    connection: &mut PgConnection,
    lease: &Lease,
    page: &PageCommit<'_>,
) -> Result<PageOutcome, Error> {
    let feed = lease.feed();
    if Breakage::CheckpointApart.is_on() {
        move_past(connection, lease, page).await?;
        raw_sql("commit and chain").execute(&mut *connection).await?;
    }
    let locked = lock_resource(connection, lease, page.resource).await?;
    let verdicts =
        verdicts::judge(connection, feed, page.resource, page.records, page.confirmed, page.cache_window)
            .await?;
    let written = upsert::upsert(connection, feed, page.shape, &verdicts.changed, page.confirmed).await?;
    let accepted = settle::accepted(&verdicts, &written);
    settle::reread_later(connection, lease, page, &verdicts).await?;
    let rejected = settle::quarantine(connection, lease, page, &verdicts, &written, &accepted).await?;
    let sets = relations::commit_with_page(connection, lease, page, &accepted, locked.now).await?;

    let keys: Vec<&str> = page.records.iter().map(|record| record.key.as_str()).collect();
    if let Some(staged) = page.stage_keys {
        sweep::check_open(lease, page.resource, locked.open_sweep, staged.sweep)?;
        sweep::stage(connection, lease, page.resource, staged, &keys).await?;
    }
    let seen: Vec<&str> = keys
        .iter()
        .copied()
        .chain(page.rejected.iter().filter_map(|r| r.key.as_ref()).map(RecordKey::as_str))
        .collect();
    let told = page.stage_keys.map(|staged| staged.sweep);
    sweep::see(connection, lease, page.resource, locked.open_sweep.filter(|open| Some(*open) != told), &seen)
        .await?;

    let inserted = written.landed.iter().filter(|(_, new, _)| *new).count() as u64;
    let outcome = PageOutcome {
        inserted,
        updated: written.landed.len() as u64 - inserted,
        unchanged: verdicts.unchanged.len() as u64,
        older: verdicts.older.len() as u64,
        rejected,
        held: verdicts.returned.len() as u64,
        watermark: accepted.iter().filter_map(|a| a.record.modified_at).chain(locked.watermark).max(),
        delays: written.landed.iter().filter_map(|(_, _, delay)| *delay).collect(),
        column_nulls: written.misfits + sets.column_nulls,
    };
    let totals = RunTotals {
        pages: 1,
        inserted,
        updated: outcome.updated,
        unchanged: outcome.unchanged,
        rejected,
        older: outcome.older,
        ..RunTotals::default()
    };
    job_run::progress(connection, lease, page.run, &totals).await?;
    move_past(connection, lease, page).await?;
    if outcome.watermark != locked.watermark || inserted > 0 {
        sqlx::query(ADVANCE)
            .bind(feed.as_str())
            .bind(page.resource.as_str())
            .bind(outcome.watermark)
            .bind(inserted.cast_signed())
            .execute(&mut *connection)
            .await?;
    }
    Ok(outcome)
}

/// Moves the job past the page: its checkpoint, and with the last page the end of its pass.
async fn move_past(connection: &mut PgConnection, lease: &Lease, page: &PageCommit<'_>) -> Result<(), Error> {
    if let Some(position) = page.checkpoint {
        checkpoint::write(connection, lease, page.resource, page.job, position).await?;
    }
    if let Some(finish) = &page.finish {
        resource::finish(connection, lease, page.resource, finish).await?;
    }
    Ok(())
}

/// Takes the resource's turn to write.
pub(crate) async fn lock_resource(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
) -> Result<LockedResource, Error> {
    let row: Option<(Timestamp, Option<Timestamp>, Option<i64>)> = sqlx::query_as(LOCK_RESOURCE)
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .fetch_optional(connection)
        .await?;
    let (now, watermark, sweep) = row.ok_or_else(|| resource::unregistered(lease, resource))?;
    Ok(LockedResource { now, watermark, open_sweep: sweep.map(SweepId) })
}
