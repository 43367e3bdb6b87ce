//! The purge: plans, their approvals, and the deletion itself (P4).
//!
//! Nothing is deleted but by [`Store::execute_purge`], and it believes nobody: it takes only keys of an open
//! plan that may be carried out, under an open sweep, whose rows still have the content that the plan saw, and
//! that nobody has listed or seen since the sweep began.

mod plan;

use spark_domain::Resource;

use crate::boundary::Boundary;
use crate::columns::ByResource;
use crate::commit_page::lock_resource;
use crate::connection::Store;
use crate::error::Error;
use crate::job_run::{self, RunId, RunTotals};
use crate::lease::Lease;
use crate::relations::DELETE_OF_PARENTS;
use crate::sweep::{Candidate, SweepId, check_open};

pub use plan::{Approved, NewPurgePlan, PlanId, PurgePlan};

pub(crate) const PLAN_STATEMENTS: &[(&str, &str)] = plan::STATEMENTS;

static BURY: ByResource = ByResource::new(
    "with staged as materialized (select one.key from replicator.key_sweep as page \
        cross join unnest(page.keys) as one (key) \
        where page.feed = $1 and page.resource = $2 and page.sweep = $3), \
    planned as materialized (select one.key from replicator.purge_plan as plan \
        cross join unnest(plan.keys) as one (key) \
        where plan.feed = $1 and plan.plan = $7 and plan.resource = $2 and plan.state = 'open'), \
    doomed as (select batch.* from unnest($4::text[], $5::bytea[], $6::boolean[]) as batch (key, hash, ended) \
        where exists (select from planned where planned.key = batch.key) \
            and not exists (select from staged where staged.key = batch.key)), \
    gone as (delete from {table} as held using doomed \
        where held.feed = $1 and held.key = doomed.key and held.hash = doomed.hash \
        returning held.key, held.modified_at, held.hash, doomed.ended) \
    insert into replicator.tombstone (feed, resource, key, reason, sweep, plan, approved_by, modified_at, hash) \
    select $1, $2, key, case when ended then 'ended' else 'gone' end, $3, $7, $8, modified_at, hash from gone \
    returning key",
    0,
);

pub(crate) static PER_TABLE: [&ByResource; 1] = [&BURY];

sql! {
    MAY_RUN = "select refusal is null, case when approval_expires_at > clock_timestamp() then approved_by end \
        from replicator.purge_plan where feed = $1 and plan = $2 and resource = $3 and state = 'open' for update";
    CARRIED_OUT = "update replicator.purge_plan set deleted = deleted + $3, carried_out_in = $4 \
        where feed = $1 and plan = $2";
    FORGET_SETS = "delete from replicator.relation_set where feed = $1 and resource = $2 and key = any($3)";
    FORGET_REREADS = "delete from replicator.reread where feed = $1 and resource = $2 and key = any($3)";
    FORGET_QUARANTINE = "delete from replicator.quarantine where feed = $1 and resource = $2 and key = any($3)";
    HELD_LESS = "update replicator.resource set rows_held = greatest(rows_held - $3, 0) \
        where feed = $1 and resource = $2";
}

impl Store {
    /// Deletes a batch of a plan in one transaction, with relations, queued work and quarantine, and leaves
    /// tombstones. Answers how many records are gone: those of the batch that still qualify.
    ///
    /// `approved` says on which ground: without it the plan must have passed the guard, with it a person's
    /// approval must hold now. An empty batch only notes that the plan was carried out.
    #[expect(clippy::too_many_arguments, reason = "each is a condition of the deletion")]
    pub async fn execute_purge(
        &self,
        lease: &Lease,
        run: RunId,
        resource: Resource,
        sweep: SweepId,
        plan: PlanId,
        approved: bool,
        batch: &[Candidate],
    ) -> Result<u64, Error> {
        self.observed("purge", async {
            let mut writing = self.begin_long_write(lease).await?;
            let (feed, word) = (lease.feed().as_str(), resource.as_str());
            let locked = lock_resource(writing.conn(), lease, resource).await?;
            check_open(lease, resource, locked.open_sweep, sweep)?;
            let plan_row: Option<(bool, Option<String>)> = sqlx::query_as(MAY_RUN)
                .bind(feed)
                .bind(plan.0)
                .bind(word)
                .fetch_optional(writing.conn())
                .await?;
            let approved_by = match plan_row {
                Some((true, _)) if !approved => None,
                Some((_, Some(by))) if approved => Some(by),
                _ => return Err(not_executable(plan)),
            };
            let gone: Vec<String> = sqlx::query_scalar(BURY.of(resource))
                .bind(feed)
                .bind(word)
                .bind(sweep.0)
                .bind(batch.iter().map(|each| each.key.as_str()).collect::<Vec<_>>())
                .bind(batch.iter().map(|each| each.hash.0.to_vec()).collect::<Vec<_>>())
                .bind(batch.iter().map(|each| each.ended).collect::<Vec<_>>())
                .bind(plan.0)
                .bind(approved_by)
                .fetch_all(writing.conn())
                .await?;
            if !gone.is_empty() {
                let relations = DELETE_OF_PARENTS.all().iter().map(String::as_str);
                for statement in relations.chain([FORGET_SETS, FORGET_REREADS, FORGET_QUARANTINE]) {
                    sqlx::query(statement).bind(feed).bind(word).bind(&gone).execute(writing.conn()).await?;
                }
            }
            let deleted = gone.len() as u64;
            let carried =
                sqlx::query(CARRIED_OUT).bind(feed).bind(plan.0).bind(deleted.cast_signed()).bind(sweep.0);
            carried.execute(writing.conn()).await?;
            let less = sqlx::query(HELD_LESS).bind(feed).bind(word).bind(deleted.cast_signed());
            less.execute(writing.conn()).await?;
            let totals = RunTotals { deleted, ..RunTotals::default() };
            job_run::progress(writing.conn(), lease, run, &totals).await?;
            writing.commit(Boundary::ExecutePurge).await?;
            Ok(deleted)
        })
        .await
    }
}

fn not_executable(plan: PlanId) -> Error {
    let number = plan.0;
    Error::inconsistent(format!(
        "purge plan {number} may not be carried out: it is closed, or the guard refused it and no approval holds; \
         nothing was deleted"
    ))
}
