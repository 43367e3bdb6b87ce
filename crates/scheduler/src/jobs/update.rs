//! Takes in what changed since the cursor, less the cache window (replication guide, step 4).

use spark_domain::plan::update::{self, AfterUnsynced, UpdateWindow};
use spark_domain::{Checkpoint, Job, Recovery, Timestamp};
use spark_store::Finish;

use super::{Ended, Run, reread, window};
use crate::error::{JobError, chain};

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    loop {
        let window = match pass(run).await {
            Ok(window) => window,
            Err(error) => return Err(after_failed_pass(run, error).await?),
        };
        if window.until.is_none() {
            break;
        }
    }
    // After the pass, and never in its way: one key that cannot be read must not hold up what changed.
    match reread::run(run).await {
        Ok(()) => {}
        Err(error @ (JobError::Cancelled | JobError::LeaseLost)) => return Err(error),
        Err(error) => tracing::warn!(error = chain(&error), "keys in doubt could not be read; they stay due"),
    }
    run.context.wake(run.resource, Job::MediaRefresh).notify_one();
    Ok(Ended::Done)
}

/// Walks one window; the cursor moves with its last page.
async fn pass(run: &mut Run<'_>) -> Result<UpdateWindow, JobError> {
    let context = run.context;
    let checkpoint = position(run).await?;
    let now = context.now().await?;
    let cursor = checkpoint.cursor.ok_or(JobError::NotDownloaded)?;
    let next = update::window(cursor, context.cache_window(), now);
    let interrupted = checkpoint.walk.clone().and_then(|walk| Some((walk.window?, walk)));
    // A walk that began later than its pass is a part of one: what lies before it was read too long ago.
    let (window, walk) = match interrupted {
        Some(((after, until), walk)) if after <= next.after => (UpdateWindow { after, until }, Some(walk)),
        _ => (next, None),
    };
    let end = |began: Option<Timestamp>| {
        let moved = update::cursor_after(cursor, window, began.unwrap_or(cursor));
        let checkpoint = Checkpoint { cursor: Some(moved), walk: None, unsynced_passes: 0 };
        (checkpoint, Some(Finish { complete_through: Some(moved), initial_download_completed: false }))
    };
    let standing = Checkpoint { walk: None, ..checkpoint };
    window::pass(run, window, walk, &standing, &end).await?;
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
            tracing::warn!("out of sync for three passes: the cursor moves on, and a look-back is ordered");
            let reached = held.cursor.map(|cursor| {
                let walk = held.walk.as_ref();
                let as_of = walk.and_then(|walk| walk.as_of).unwrap_or(cursor);
                let window =
                    walk.and_then(|walk| walk.window).map(|(after, until)| UpdateWindow { after, until });
                window.map_or(cursor, |window| update::cursor_after(cursor, window, as_of))
            });
            Checkpoint { cursor: reached, walk: None, unsynced_passes: 0 }
        }
    };
    crate::persist!(
        context,
        context.store.save_checkpoint(&context.lease, resource, Job::Update, &checkpoint)
    )?;
    Ok(error)
}
