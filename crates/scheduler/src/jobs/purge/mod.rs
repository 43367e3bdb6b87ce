//! Deletes what the feed no longer shows (design of the seven steps: `domain::plan::purge`).
//!
//! Sweep, judge, collect candidates, confirm each by its key, hold the plan against the guard, delete in
//! bounded batches. Nothing is deleted before the last step, and each step can only shrink what the one before
//! it named.

mod carry_out;
mod confirm;
mod sweep;

use spark_domain::plan::purge::{Refusal, Standing};
use spark_domain::{Breakage, Checkpoint, Walk};
use spark_store::{Candidate, NewPurgePlan, SweepId, SweepSummary};

use super::{Ended, Run};
use crate::error::JobError;

pub(super) use sweep::{drop_sweep, open_sweep};

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    let (sweep, finished) = sweep::walk_keys(run).await?;
    conclude(run, sweep, &finished).await
}

/// From the finished walk of a sweep to the deletions.
pub(super) async fn conclude(run: &mut Run<'_>, sweep: SweepId, walk: &Walk) -> Result<Ended, JobError> {
    match judge_and_delete(run, sweep, walk).await {
        Ok(ended) => {
            close(run, sweep, true).await?;
            Ok(ended)
        }
        // Stopped half-way: the sweep stays open, and the next run goes on from its staged keys.
        Err(error @ (JobError::Cancelled | JobError::LeaseLost)) => Err(error),
        Err(error) => {
            close(run, sweep, false).await?;
            Err(error)
        }
    }
}

async fn judge_and_delete(run: &mut Run<'_>, sweep: SweepId, walk: &Walk) -> Result<Ended, JobError> {
    let context = run.context;
    let mut before = walk.began_at - context.cache_window();
    if Breakage::NoWriteMargin.is_on() {
        before = context.now().await?;
    }
    let (summary, list) = sweep::judge(run, sweep, walk, before).await?;
    sweep::order_missing(run, sweep, before, &summary).await?;
    context.metrics.purge_candidates(context.feed(), run.resource, summary.candidates);

    let open = crate::persist!(context, context.store.open_plan(context.feed(), run.resource))?;
    let now = context.now().await?;
    let approved =
        open.filter(|plan| plan.approved.as_ref().is_some_and(|approval| now < approval.expires_at));
    let limit = confirm::limit(run, &summary, approved.as_ref());
    let confirmed = confirm::confirm(run, sweep, before, &summary, limit).await?;
    let day_ago = now - chrono::TimeDelta::days(1);
    let recent = crate::persist!(
        context,
        context.store.purged_unapproved_since(context.feed(), run.resource, day_ago)
    )?;

    let parts = carry_out::split(confirmed, approved.as_ref());
    let planned = parts.guarded.len() as u64;
    let refusal = match list.standing() {
        Standing::NeedsApproval(why) if planned > 0 => Some(Refusal::Unproved(why.clone())),
        Standing::NeedsApproval(_) | Standing::Counted => {
            context.settings.purge_guard.check(planned, recent, summary.ours).err()
        }
    };
    if run.plan_only {
        return plan(run, sweep, walk, &summary, parts, refusal.as_ref(), approved.is_some()).await;
    }
    // Each part under a plan that names it: the approved one still stands, the others take its place in turn.
    if let Some(plan) = &approved {
        carry_out::delete(run, sweep, plan.id, true, &parts.approved).await?;
    }
    if !parts.ended.is_empty() {
        let Some(plan) = save(run, sweep, walk, &summary, &parts.ended, None).await? else {
            return Ok(approved_meanwhile());
        };
        carry_out::delete(run, sweep, plan, false, &parts.ended).await?;
    }
    let Some(plan) = save(run, sweep, walk, &summary, &parts.guarded, refusal.as_ref()).await? else {
        return Ok(approved_meanwhile());
    };
    let label = refusal.as_ref().map(Refusal::label);
    context.metrics.purge_guard(context.feed(), run.resource, label);
    match refusal {
        None => {
            carry_out::delete(run, sweep, plan, false, &parts.guarded).await?;
            Ok(Ended::Done)
        }
        Some(refusal) => Ok(Ended::Refused(refusal.to_string())),
    }
}

/// A plan was approved while this sweep was being concluded. It stands, and the sweep that the approval ordered
/// carries it out.
fn approved_meanwhile() -> Ended {
    tracing::info!("a plan was approved meanwhile; the next sweep carries it out");
    Ended::Done
}

/// Only keeps the plan, for people to look at. One that is approved is not replaced before it is carried out.
async fn plan(
    run: &Run<'_>,
    sweep: SweepId,
    walk: &Walk,
    summary: &SweepSummary,
    parts: carry_out::Parts,
    refusal: Option<&Refusal>,
    one_is_approved: bool,
) -> Result<Ended, JobError> {
    if !one_is_approved {
        let mut keys = parts.guarded;
        keys.extend(parts.ended);
        save(run, sweep, walk, summary, &keys, refusal).await?;
    }
    Ok(refusal.map_or(Ended::Done, |refusal| Ended::Refused(refusal.to_string())))
}

async fn save(
    run: &Run<'_>,
    sweep: SweepId,
    walk: &Walk,
    summary: &SweepSummary,
    keys: &[Candidate],
    refusal: Option<&Refusal>,
) -> Result<Option<spark_store::PlanId>, JobError> {
    let context = run.context;
    let why = match refusal {
        Some(refusal) => refusal.to_string(),
        None => format!(
            "{} keys are not on the complete list of {} and did not answer when asked for by key",
            keys.len(),
            summary.listed
        ),
    };
    let plan = NewPurgePlan {
        resource: run.resource,
        sweep,
        began_at: walk.began_at,
        rows_held: summary.ours,
        listed: summary.listed,
        keys,
        refusal: refusal.map(Refusal::label),
        explanation: &why,
    };
    crate::persist!(context, context.store.save_plan(&context.lease, &plan))
}

/// Ends a sweep that was concluded, and the walk that made it. One that only planned proves nothing to the clocks.
async fn close(run: &Run<'_>, sweep: SweepId, complete: bool) -> Result<(), JobError> {
    let context = run.context;
    forget_walk(run, &Checkpoint::default()).await?;
    finish(run, sweep, complete && !run.plan_only).await?;
    if complete {
        while crate::persist!(
            context,
            context.store.wake_relations_after_sweep(&context.lease, run.resource)
        )? {}
        context.wake(run.resource, spark_domain::Job::MediaRefresh).notify_one();
    }
    Ok(())
}

/// Ends the walk of a sweep; `standing` is what else its checkpoint holds. Before the sweep itself is closed: a
/// walk that outlived its first keys would pass its rest for the whole list.
async fn forget_walk(run: &Run<'_>, standing: &Checkpoint) -> Result<(), JobError> {
    let context = run.context;
    crate::persist!(context, context.store.save_checkpoint(&context.lease, run.resource, run.job, standing))
}

async fn finish(run: &Run<'_>, sweep: SweepId, complete: bool) -> Result<(), JobError> {
    let context = run.context;
    crate::persist!(
        context,
        context.store.finish_sweep(&context.lease, run.id, run.resource, run.job, sweep, complete)
    )
}
