//! Takes in what changed since the cursor, less the cache window (replication guide, step 4).

use spark_domain::plan::update::{self, AfterUnsynced, UpdateWindow};
use spark_domain::{Checkpoint, Job, Query, Recovery, Relation, Walk};
use spark_store::Finish;

use super::collection::{Collection, walk};
use super::{Ended, Run, reread};
use crate::error::JobError;

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    reread::run(run).await?;
    loop {
        let window = match pass(run).await {
            Ok(window) => window,
            Err(error) => return Err(after_failed_pass(run, error).await?),
        };
        if window.until.is_none() {
            break;
        }
    }
    run.context.wake(run.resource, Job::MediaRefresh).notify_one();
    Ok(Ended::Done)
}

/// Walks one window; the cursor moves with its last page.
async fn pass(run: &mut Run<'_>) -> Result<UpdateWindow, JobError> {
    let context = run.context;
    let checkpoint = position(run).await?;
    let now = context.now().await?;
    let cursor = checkpoint.cursor.unwrap_or(now);
    let (start, window) = match &checkpoint.walk {
        Some(walk) if let Some((after, until)) = walk.window => (walk.clone(), UpdateWindow { after, until }),
        _ => {
            let window = update::window(cursor, context.cache_window(), now);
            let bounds = Some((window.after, window.until));
            (super::begin(run, bounds, &checkpoint).await?, window)
        }
    };
    let expanded: Vec<Relation> = context
        .settings
        .relations_of(run.resource)
        .iter()
        .copied()
        .filter(|relation| relation.comes_with_update())
        .collect();
    let end = |walk: &Walk| {
        let as_of = walk.as_of.unwrap_or(cursor);
        let moved = update::cursor_after(cursor, window, as_of);
        let checkpoint = Checkpoint { cursor: Some(moved), walk: None, unsynced_passes: 0 };
        (checkpoint, Some(Finish { complete_through: Some(moved), initial_download_completed: false }))
    };
    let collection = Collection {
        query: Query::modified(run.resource, window.after, window.until, expanded.clone()),
        expanded,
        mark_relations: true,
        stage: None,
        end: &end,
        standing: Checkpoint { walk: None, ..checkpoint },
    };
    walk(run, start, &collection).await?;
    Ok(window)
}

/// The update's checkpoint; before its first pass the cursor is the start of the initial download.
async fn position(run: &Run<'_>) -> Result<Checkpoint, JobError> {
    let (context, resource) = (run.context, run.resource);
    let own = crate::persist!(context, context.store.checkpoint(context.feed(), resource, Job::Update))?;
    if own.cursor.is_some() {
        return Ok(own);
    }
    let download =
        crate::persist!(context, context.store.checkpoint(context.feed(), resource, Job::InitialDownload))?;
    Ok(Checkpoint { cursor: download.cursor, ..own })
}

/// A pass that gave up because the feed is not in sync holds the cursor; the third in a row moves it and
/// orders a look-back for what may have been missed.
async fn after_failed_pass(run: &Run<'_>, error: JobError) -> Result<JobError, JobError> {
    let JobError::Feed(feed_error) = &error else { return Ok(error) };
    if feed_error.recovery() != Recovery::WaitForSync {
        return Ok(error);
    }
    let (context, resource) = (run.context, run.resource);
    let held = position(run).await?;
    let passes = held.unsynced_passes + 1;
    let checkpoint = match update::after_unsynced(passes) {
        AfterUnsynced::Hold => Checkpoint { unsynced_passes: passes, ..held },
        AfterUnsynced::MoveAndLookBack => {
            let now = context.now().await?;
            crate::persist!(
                context,
                context.store.set_due(&context.lease, resource, Job::Lookback, Some(now))
            )?;
            context.wake(resource, Job::Lookback).notify_one();
            let began = held.walk.as_ref().and_then(|walk| walk.as_of).or(held.cursor);
            tracing::warn!("out of sync for three passes: the cursor moves on, and a look-back is ordered");
            Checkpoint { cursor: began, walk: None, unsynced_passes: 0 }
        }
    };
    crate::persist!(
        context,
        context.store.save_checkpoint(&context.lease, resource, Job::Update, &checkpoint)
    )?;
    Ok(error)
}
