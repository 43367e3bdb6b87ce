//! Lists all keys of a resource, stages them page by page, and judges the list.

use spark_domain::plan::page_size;
use spark_domain::plan::purge::{CompleteKeyList, SweepEvidence, Void, judge_sweep};
use spark_domain::plan::reread::RereadReason;
use spark_domain::walk::Paging;
use spark_domain::{Breakage, Checkpoint, Job, Query, RecordKey, Recovery, Resource, Timestamp, Walk};
use spark_fetcher::PageRequest;
use spark_store::{SweepId, SweepSummary};

use super::super::collection::{count, misleads};
use super::super::{Run, begin};
use crate::error::JobError;

/// Keys looked at in one statement.
const BATCH: i64 = 5_000;

/// The sweep that belongs to a walk: the open one if the walk is resumed.
pub(in crate::jobs) async fn open_sweep(run: &Run<'_>, walk: &Walk) -> Result<SweepId, JobError> {
    let context = run.context;
    crate::persist!(context, context.store.begin_sweep(&context.lease, run.resource, run.job, walk.began_at))
}

/// Ends a sweep whose walk failed, and the walk; those that were only interrupted stay open.
pub(in crate::jobs) async fn drop_sweep(
    run: &Run<'_>,
    sweep: SweepId,
    error: &JobError,
    standing: &Checkpoint,
) -> Result<(), JobError> {
    match error {
        // Nothing may be deleted by a pass that met it, and who goes on would not know.
        JobError::Cancelled if run.context.fetcher.is_out_of_sync(run.resource) => {
            super::forget_walk(run, standing).await?;
            super::finish(run, sweep, false).await
        }
        JobError::Cancelled | JobError::LeaseLost => Ok(()),
        JobError::Feed(_)
        | JobError::Store(_)
        | JobError::Walk(_)
        | JobError::Restarting { .. }
        | JobError::Void(_)
        | JobError::NotDownloaded
        | JobError::KeysMisread { .. } => {
            super::forget_walk(run, standing).await?;
            super::finish(run, sweep, false).await
        }
    }
}

/// Walks the key list to its end, page and position committed together.
pub(super) async fn walk_keys(run: &mut Run<'_>) -> Result<(SweepId, Walk), JobError> {
    let context = run.context;
    let checkpoint =
        crate::persist!(context, context.store.checkpoint(context.feed(), run.resource, run.job))?;
    let walk = match checkpoint.walk {
        Some(walk) => walk,
        None => begin(run, None, &Checkpoint::default()).await?,
    };
    let sweep = open_sweep(run, &walk).await?;
    match walk_on(run, sweep, walk).await {
        Ok(finished) => Ok((sweep, finished)),
        Err(JobError::Feed(_) | JobError::Walk(_)) if Breakage::IncompleteSweep.is_on() => {
            let staged =
                crate::persist!(context, context.store.checkpoint(context.feed(), run.resource, run.job))?;
            staged.walk.map(|walk| (sweep, walk)).ok_or(JobError::Cancelled)
        }
        Err(error) => {
            drop_sweep(run, sweep, &error, &Checkpoint::default()).await?;
            Err(error)
        }
    }
}

async fn walk_on(run: &mut Run<'_>, sweep: SweepId, mut walk: Walk) -> Result<Walk, JobError> {
    let context = run.context;
    let query = key_list(run);
    while let Some(position) = walk.next() {
        let request =
            PageRequest { query: &query, position, paging: context.paging(run.resource), top: walk.top };
        let page = match context.ask(&request, run.job.priority()).await {
            Ok(mut page) => {
                if request.paging == Paging::NextLink && misleads(run, &walk, &query, &mut page).await? {
                    // A list cut short is no list; the next sweep pages by key.
                    context.page_by_key(run.resource).await?;
                    return Err(Void::Unfinished.into());
                }
                page
            }
            Err(JobError::Feed(error)) if error.recovery() == Recovery::Shrink => {
                walk.unsynced |= error.exchange().unsynced;
                walk.top = page_size::after_refusal(walk.top).ok_or(JobError::Feed(error))?;
                continue;
            }
            // A refused continuation voids the sweep: its pages would be of two lists.
            Err(error) => return Err(error),
        };
        let keys = context.read(&page, run.resource).keys;
        let number = walk.pages;
        walk = walk.arrived(&page.head, &keys.iter().collect::<Vec<_>>(), context.paging(run.resource))?;
        let settings = &context.settings.fetcher;
        walk.top = page_size::after_page(
            walk.top,
            page.len(),
            page.head.bytes,
            settings.page_bytes,
            context.fetcher.most_per_page(run.resource),
        );
        // A finished walk stays in the checkpoint until its sweep is concluded: a restart goes on from there.
        let checkpoint = Checkpoint { walk: Some(walk.clone()), ..Checkpoint::default() };
        crate::persist!(
            context,
            context.store.stage_keys(
                &context.lease,
                run.id,
                run.resource,
                run.job,
                sweep,
                number,
                &keys,
                &checkpoint
            )
        )?;
        run.totals.pages += 1;
        run.totals.bytes += page.head.bytes as u64;
        context.metrics.page_staged(context.feed(), run.resource, run.job);
        if context.is_stopping() {
            return Err(JobError::Cancelled);
        }
    }
    Ok(walk)
}

fn key_list(run: &Run<'_>) -> Query {
    let mut query = Query::key_list(run.resource);
    if run.context.settings.sweep_timestamps {
        query.select.push("ModificationTimestamp");
    }
    query
}

/// Holds the staged keys against the feed's own counts.
pub(super) async fn judge(
    run: &Run<'_>,
    sweep: SweepId,
    walk: &Walk,
    before: Timestamp,
) -> Result<(SweepSummary, CompleteKeyList), JobError> {
    let context = run.context;
    let count_after = count_again(run).await?;
    let summary =
        crate::persist!(context, context.store.sweep_summary(context.feed(), run.resource, sweep, before))?;
    let mut evidence = SweepEvidence {
        resource: run.resource,
        listed: summary.listed,
        count_before: walk.expected,
        count_after,
        new_meanwhile: summary.new_meanwhile,
        rows_held: summary.ours,
        rows_ended: summary.ended,
        empty_sweeps: 0,
        same_gap_sweeps: 0,
    };
    let empty = evidence.counts_nothing() && !walk.unsynced;
    let apart = context.settings.pace.retry_unit * 60;
    let note = || context.store.note_empty_sweep(&context.lease, run.resource, empty, apart);
    let sweeps = crate::persist!(context, note())?;
    evidence.empty_sweeps = u32::try_from(sweeps).unwrap_or(0);
    let first = judge_sweep(walk, &evidence);
    let gap = match &first {
        Err(void) => void.gap().map(|gap| i64::try_from(gap).unwrap_or(i64::MAX)),
        Ok(_) => None,
    };
    let sweeps = crate::persist!(context, context.store.note_count_gap(&context.lease, run.resource, gap))?;
    evidence.same_gap_sweeps = u32::try_from(sweeps).unwrap_or(0);
    match first {
        Ok(list) => Ok((summary, list)),
        Err(Void::Short { .. }) => Ok((summary, judge_sweep(walk, &evidence)?)),
        Err(void) => Err(void.into()),
    }
}

/// `$count` once more, after the last page.
async fn count_again(run: &Run<'_>) -> Result<Option<u64>, JobError> {
    let head = count(run, &key_list(run)).await?;
    if head.unsynced { Err(Void::NotInSync.into()) } else { Ok(head.count) }
}

/// Orders what the feed lists and we do not have: a by-key read, or a resync if it is very much.
pub(super) async fn order_missing(
    run: &Run<'_>,
    sweep: SweepId,
    before: Timestamp,
    summary: &SweepSummary,
) -> Result<(), JobError> {
    let context = run.context;
    if summary.missing == 0 || run.resource == Resource::Lookup {
        return Ok(());
    }
    let now = context.now().await?;
    if summary.missing * 10 > summary.listed {
        tracing::warn!(
            missing = summary.missing,
            listed = summary.listed,
            "more than a tenth of the feed's records are missing here: a resync is ordered"
        );
        crate::persist!(
            context,
            context.store.set_due(&context.lease, run.resource, Job::Resync, Some(now))
        )?;
        context.wake(run.resource, Job::Resync).notify_one();
        return Ok(());
    }
    tracing::info!(missing = summary.missing, began_before = %before, "missing records will be fetched by key");
    let mut after: Option<RecordKey> = None;
    loop {
        let keys = crate::persist!(
            context,
            context.store.missing_keys(context.feed(), run.resource, sweep, after.as_ref(), BATCH)
        )?;
        let Some(last) = keys.last().cloned() else { break };
        crate::persist!(
            context,
            context.store.add_rereads(&context.lease, run.resource, RereadReason::Missing, &keys, now)
        )?;
        after = Some(last);
    }
    context.wake(run.resource, Job::Update).notify_one();
    Ok(())
}
