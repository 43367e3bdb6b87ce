//! Deletes what may go, in bounded batches; each row only while it is still what the plan saw.

use spark_store::{Candidate, PlanId, PurgePlan, SweepId};

use super::super::Run;
use crate::error::JobError;

/// Rows deleted in one transaction.
const BATCH: usize = 500;

/// The confirmed candidates, by what lets them go.
pub(super) struct Parts {
    /// A person approved a plan that names them.
    pub(super) approved: Vec<Candidate>,
    /// Open houses that are over: they leave the feed by themselves.
    pub(super) ended: Vec<Candidate>,
    /// The guard decides.
    pub(super) guarded: Vec<Candidate>,
}

pub(super) fn split(confirmed: Vec<Candidate>, approved: Option<&PurgePlan>) -> Parts {
    let mut parts = Parts { approved: Vec::new(), ended: Vec::new(), guarded: Vec::new() };
    let named: std::collections::HashSet<&str> = approved
        .into_iter()
        .flat_map(|plan| &plan.candidates)
        .map(|candidate| candidate.key.as_str())
        .collect();
    for candidate in confirmed {
        if named.contains(candidate.key.as_str()) {
            parts.approved.push(candidate);
        } else if candidate.ended {
            parts.ended.push(candidate);
        } else {
            parts.guarded.push(candidate);
        }
    }
    parts
}

pub(super) async fn delete(
    run: &mut Run<'_>,
    sweep: SweepId,
    plan: PlanId,
    approved: bool,
    candidates: &[Candidate],
) -> Result<(), JobError> {
    let context = run.context;
    // An empty batch, too, is written down: the plan was carried out.
    let batches = candidates.chunks(BATCH).chain(candidates.is_empty().then_some(candidates));
    for batch in batches {
        if context.is_stopping() {
            return Err(JobError::Cancelled);
        }
        let deleted = crate::persist!(
            context,
            context.store.execute_purge(&context.lease, run.id, run.resource, sweep, plan, approved, batch)
        )?;
        run.totals.deleted += deleted;
        context.metrics.records_deleted(context.feed(), run.resource, deleted);
    }
    Ok(())
}
