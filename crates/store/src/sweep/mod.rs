//! The keys of a sweep: what the feed lists, and what other jobs saw meanwhile.
//!
//! One logged row per page, `source` saying whether the sweep listed the keys or a job saw them. A resource has
//! at most one open sweep; beginning one drops the keys of those before it. Nothing is deleted here: the sweep
//! only tells which keys we hold and the feed did not show ([`crate::purge`] acts on it), and which it lists
//! and we lack.

mod findings;

use sqlx::PgConnection;

use spark_domain::{Breakage, Checkpoint, Job, RecordKey, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::columns::ByResource;
use crate::commit_page::lock_resource;
use crate::connection::Store;
use crate::error::Error;
use crate::job_run::{RunId, RunTotals};
use crate::lease::Lease;
use crate::{checkpoint, job_run};

pub use findings::{Candidate, SweepSummary};

pub(crate) const FINDING_STATEMENTS: &[(&str, &str)] = findings::STATEMENTS;

/// The statements of this folder that exist once per table.
pub(crate) const fn per_table() -> [&'static ByResource; 3] {
    [&findings::SUMMARY, &findings::CANDIDATES, &findings::MISSING]
}

sql! {
    OPEN = "update replicator.resource set last_sweep = last_sweep + 1, sweep_job = $3, sweep_began_at = $4 \
        where feed = $1 and resource = $2 returning last_sweep";
    RESUME = "select last_sweep from replicator.resource \
        where feed = $1 and resource = $2 and sweep_job = $3 and sweep_began_at = $4";
    DROP_KEYS = "delete from replicator.key_sweep where feed = $1 and resource = $2";
    STAGE = "insert into replicator.key_sweep (feed, resource, sweep, source, page, keys) \
        values ($1, $2, $3, 'sweep', $4, $5) on conflict (feed, resource, sweep, page) where source = 'sweep' \
        do update set keys = excluded.keys";
    SEE = "insert into replicator.key_sweep (feed, resource, sweep, source, keys) values ($1, $2, $3, 'seen', $4)";
    CLOSE = "update replicator.resource set sweep_job = null, sweep_began_at = null, last_sweep_completed_at = \
            case when $3 then clock_timestamp() else last_sweep_completed_at end \
        where feed = $1 and resource = $2";
    CLOSE_PLAN = "update replicator.purge_plan set state = 'executed', closed_at = clock_timestamp() \
        where feed = $1 and resource = $2 and state = 'open' \
            and (carried_out_in = $3 or (sweep = $3 and keys = '{}'))";
}

/// Numbers the sweeps of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepId(pub i64);

/// A page of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepPage {
    /// Which sweep.
    pub sweep: SweepId,
    /// Which of its pages; staged again, it takes the place of the first.
    pub page: u32,
}

impl Store {
    /// Opens a sweep, or finds it again: `began_at`, by Postgres' clock, is when its walk began.
    pub async fn begin_sweep(
        &self,
        lease: &Lease,
        resource: Resource,
        job: Job,
        began_at: Timestamp,
    ) -> Result<SweepId, Error> {
        self.observed("purge", async {
            let mut writing = self.begin_write(lease).await?;
            lock_resource(writing.conn(), lease, resource).await?;
            let (feed, word) = (lease.feed().as_str(), resource.as_str());
            let resumed: Option<i64> = sqlx::query_scalar(RESUME)
                .bind(feed)
                .bind(word)
                .bind(job.as_str())
                .bind(began_at)
                .fetch_optional(writing.conn())
                .await?;
            if let Some(sweep) = resumed {
                writing.commit(Boundary::BeginSweepAgain).await?;
                return Ok(SweepId(sweep));
            }
            sqlx::query(DROP_KEYS).bind(feed).bind(word).execute(writing.conn()).await?;
            let open = sqlx::query_scalar(OPEN).bind(feed).bind(word).bind(job.as_str()).bind(began_at);
            let sweep = open.fetch_one(writing.conn()).await?;
            writing.commit(Boundary::BeginSweep).await?;
            Ok(SweepId(sweep))
        })
        .await
    }

    /// Keeps the keys of one page of a sweep, together with the position after it.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the page")]
    pub async fn stage_keys(
        &self,
        lease: &Lease,
        run: RunId,
        resource: Resource,
        job: Job,
        sweep: SweepId,
        page: u32,
        keys: &[RecordKey],
        checkpoint: &Checkpoint,
    ) -> Result<(), Error> {
        self.observed("checkpoint", async {
            let mut writing = self.begin_write(lease).await?;
            let locked = lock_resource(writing.conn(), lease, resource).await?;
            check_open(lease, resource, locked.open_sweep, sweep)?;
            let keys: Vec<&str> = keys.iter().map(RecordKey::as_str).collect();
            stage(writing.conn(), lease, resource, SweepPage { sweep, page }, &keys).await?;
            let totals = RunTotals { pages: 1, ..RunTotals::default() };
            job_run::progress(writing.conn(), lease, run, &totals).await?;
            checkpoint::write(writing.conn(), lease, resource, job, checkpoint).await?;
            writing.commit(Boundary::StageKeys).await
        })
        .await
    }

    /// Closes a sweep and drops its keys; a plan that was carried out in it is closed too. Closing a sweep that
    /// is not open changes nothing.
    pub async fn finish_sweep(
        &self,
        lease: &Lease,
        run: RunId,
        resource: Resource,
        job: Job,
        sweep: SweepId,
        complete: bool,
    ) -> Result<(), Error> {
        self.observed("purge", async {
            let mut writing = self.begin_write(lease).await?;
            let locked = lock_resource(writing.conn(), lease, resource).await?;
            if locked.open_sweep == Some(sweep) {
                tracing::debug!(feed = %lease.feed(), %resource, %job, run = run.0, complete, "sweep closed");
                let (feed, word) = (lease.feed().as_str(), resource.as_str());
                sqlx::query(DROP_KEYS).bind(feed).bind(word).execute(writing.conn()).await?;
                sqlx::query(CLOSE).bind(feed).bind(word).bind(complete).execute(writing.conn()).await?;
                if complete {
                    sqlx::query(CLOSE_PLAN)
                        .bind(feed)
                        .bind(word)
                        .bind(sweep.0)
                        .execute(writing.conn())
                        .await?;
                }
            }
            writing.commit(Boundary::FinishSweep).await
        })
        .await
    }
}

/// Keeps a page of keys that the sweep lists, inside a transaction.
pub(crate) async fn stage(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    page: SweepPage,
    keys: &[&str],
) -> Result<(), Error> {
    sqlx::query(STAGE)
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .bind(page.sweep.0)
        .bind(i64::from(page.page))
        .bind(keys)
        .execute(connection)
        .await?;
    Ok(())
}

/// Tells an open sweep of keys that another job saw, inside a transaction.
pub(crate) async fn see(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    open: Option<SweepId>,
    keys: &[&str],
) -> Result<(), Error> {
    if let Some(sweep) = open.filter(|_| !keys.is_empty() && !Breakage::NoWriteMargin.is_on()) {
        let see =
            sqlx::query(SEE).bind(lease.feed().as_str()).bind(resource.as_str()).bind(sweep.0).bind(keys);
        see.execute(connection).await?;
    }
    Ok(())
}

/// A sweep whose keys were dropped decides nothing any more.
pub(crate) fn check_open(
    lease: &Lease,
    resource: Resource,
    open: Option<SweepId>,
    sweep: SweepId,
) -> Result<(), Error> {
    if open == Some(sweep) {
        return Ok(());
    }
    let (feed, number) = (lease.feed(), sweep.0);
    Err(Error::inconsistent(format!(
        "sweep {number} of {feed} {resource} is not open any more; nothing was written, the next sweep starts anew"
    )))
}
