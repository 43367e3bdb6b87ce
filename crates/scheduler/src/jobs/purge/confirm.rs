//! Asks for every candidate by its key: whatever answers is dropped, and so is whatever cannot be asked.

use std::collections::HashSet;

use spark_domain::plan::purge::Void;
use spark_domain::{Breakage, KeyListForm, RecordKey, Resource, Timestamp};
use spark_store::{Candidate, PurgePlan, SweepId, SweepSummary};

use super::super::Run;
use super::super::by_key::{KeyAnswer, KeyQuestion, preferred_form, read};
use crate::error::JobError;

/// Candidates taken at once.
const BATCH: i64 = 500;

/// How many confirmed candidates are enough to know that the guard refuses: asking on would cost requests and
/// change nothing. What an approval names is confirmed in any case.
pub(super) fn limit(run: &Run<'_>, summary: &SweepSummary, approved: Option<&PurgePlan>) -> u64 {
    let guard = &run.context.settings.purge_guard;
    let named = approved.map_or(0, |plan| plan.candidates.len() as u64);
    let mut enough = 1;
    while enough < summary.candidates && guard.check(enough, 0, summary.ours).is_ok() {
        enough = (enough * 2).min(summary.candidates);
    }
    enough.max(1_000) + named + summary.ended
}

/// The candidates that the feed does not know.
pub(super) async fn confirm(
    run: &mut Run<'_>,
    sweep: SweepId,
    before: Timestamp,
    summary: &SweepSummary,
    limit: u64,
) -> Result<Vec<Candidate>, JobError> {
    let context = run.context;
    let mut confirmed = Vec::new();
    let mut after: Option<RecordKey> = None;
    let mut requests = 0;
    while (confirmed.len() as u64) < limit {
        let candidates = crate::persist!(
            context,
            context.store.purge_candidates(
                context.feed(),
                run.resource,
                sweep,
                before,
                after.as_ref(),
                BATCH
            )
        )?;
        let Some(last) = candidates.last() else { break };
        after = Some(last.key.clone());
        if Breakage::UnconfirmedPurge.is_on() {
            confirmed.extend(candidates);
            continue;
        }
        // No open house in winter: the list is empty, no key can serve as control, and they ended by themselves.
        if summary.listed == 0 && run.resource == Resource::OpenHouse {
            confirmed.extend(candidates.into_iter().filter(|candidate| candidate.ended));
            continue;
        }
        let mut rest = candidates.as_slice();
        while !rest.is_empty() && (confirmed.len() as u64) < limit {
            let asked = batch(run, sweep, rest, &mut requests, &mut confirmed).await?;
            rest = &rest[asked..];
        }
        if context.is_stopping() {
            return Err(JobError::Cancelled);
        }
    }
    Ok(confirmed)
}

/// Asks for the leading candidates and keeps those that are gone; says how many were asked for.
async fn batch(
    run: &mut Run<'_>,
    sweep: SweepId,
    candidates: &[Candidate],
    requests: &mut i64,
    confirmed: &mut Vec<Candidate>,
) -> Result<usize, JobError> {
    let context = run.context;
    let control =
        crate::persist!(context, context.store.listed_key(context.feed(), run.resource, sweep, *requests))?;
    *requests += 1;
    // Nothing is listed, so nothing can serve as control: each is asked for alone, and a person has the last word.
    let preferred = match control {
        Some(_) => preferred_form(context, run.resource).await?,
        None => KeyListForm::Single,
    };
    let select = [run.resource.key_field()];
    let question = KeyQuestion {
        select: &select,
        control: control.as_ref(),
        ..KeyQuestion::records(run.resource, run.job.priority())
    };
    let keys: Vec<RecordKey> = candidates.iter().map(|candidate| candidate.key.clone()).collect();
    match read(context, &question, &keys, preferred).await? {
        KeyAnswer::Pages { pages, .. } if pages.iter().any(|page| page.head.unsynced) => {
            Err(Void::NotInSync.into())
        }
        KeyAnswer::Pages { asked, pages } => {
            let alive: HashSet<RecordKey> =
                pages.iter().flat_map(|page| context.read(page, run.resource).keys).collect();
            let gone = candidates[..asked].iter().filter(|candidate| !alive.contains(&candidate.key));
            confirmed.extend(gone.cloned());
            Ok(asked)
        }
        // A confirmation that fails drops its candidate.
        KeyAnswer::Undeliverable { .. } => Ok(1),
        KeyAnswer::Misread { asked } => Err(JobError::KeysMisread { asked }),
    }
}
