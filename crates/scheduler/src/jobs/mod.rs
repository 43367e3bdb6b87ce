//! The jobs: each asks `plan`, calls fetcher and store, and reports what it did.
//!
//! A job is told nothing but its resource. What there is to do it reads from the store, so that a restart, a
//! hand-over and a second run are all the same to it.

pub(crate) mod collection;
pub(crate) mod by_key;
mod bad_record;
pub(crate) mod expansions;
pub(crate) mod initial_download;
mod window;
mod unstamped;
pub(crate) mod update;
pub(crate) mod lookback;
pub(crate) mod resync;
pub(crate) mod reread;
pub(crate) mod media_refresh;
pub(crate) mod purge;
pub(crate) mod lookups;
pub(crate) mod metadata;

use spark_domain::plan::page_size;
use spark_domain::walk::WalkFailed;
use spark_domain::{Checkpoint, Job, Resource, Timestamp, Walk};
use spark_store::{PageOutcome, RunId, RunTotals};

use crate::context::FeedContext;
use crate::error::JobError;

/// A run under way.
pub(crate) struct Run<'c> {
    pub(crate) context: &'c FeedContext,
    pub(crate) id: RunId,
    pub(crate) job: Job,
    pub(crate) resource: Resource,
    pub(crate) totals: RunTotals,
    /// Purge only what was approved or may go; or, for `purge plan`, nothing at all.
    pub(crate) plan_only: bool,
}

/// How a run that did not fail ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All is done.
    Done,
    /// A purge plan waits for approval; the text says why.
    Refused(String),
}

/// Runs the job.
pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    match run.job {
        Job::InitialDownload | Job::Lookups | Job::Metadata => {}
        // A cursor without a download, or a fill walk over half of the keys, would never be made good.
        Job::Update | Job::Lookback | Job::MediaRefresh | Job::Purge | Job::Resync => {
            demand_download(run).await?;
        }
    }
    let ended = match run.job {
        Job::InitialDownload => initial_download::run(run).await,
        Job::Update => update::run(run).await,
        Job::Lookback => lookback::run(run).await,
        Job::MediaRefresh => media_refresh::run(run).await,
        Job::Purge => purge::run(run).await,
        Job::Lookups => lookups::run(run).await,
        Job::Metadata => metadata::run(run).await,
        Job::Resync => resync::run(run).await,
    };
    if let Err(JobError::Walk(WalkFailed::Unordered { .. })) = ended
        && let Err(error) = run.context.page_as_configured(run.resource).await
    {
        tracing::warn!(error = crate::error::chain(&error), "that keys do not help could not be noted");
    }
    ended
}

async fn demand_download(run: &Run<'_>) -> Result<(), JobError> {
    let context = run.context;
    let resources = crate::persist!(context, context.store.resources(context.feed()))?;
    let known = resources.iter().find(|state| state.resource == run.resource);
    match known.and_then(|state| state.initial_download_completed_at) {
        Some(_) => Ok(()),
        None => Err(JobError::NotDownloaded),
    }
}

impl Run<'_> {
    /// Counts a committed page.
    pub(crate) fn count(&mut self, outcome: &PageOutcome, bytes: usize) {
        self.totals.pages += 1;
        self.totals.inserted += outcome.inserted;
        self.totals.updated += outcome.updated;
        self.totals.unchanged += outcome.unchanged;
        self.totals.rejected += outcome.rejected;
        self.totals.older += outcome.older;
        self.totals.bytes += bytes as u64;
        self.context.metrics.page_committed(self.context.feed(), self.resource, self.job, outcome);
    }
}

/// Begins a walk, and says so in its checkpoint before the first request: what a crash leaves behind is seen.
async fn begin(
    run: &Run<'_>,
    window: Option<(Timestamp, Option<Timestamp>)>,
    standing: &Checkpoint,
) -> Result<Walk, JobError> {
    let context = run.context;
    let top = page_size::FIRST.min(context.fetcher.most_per_page(run.resource));
    let walk = Walk::begin(context.now().await?, window, top);
    let checkpoint = Checkpoint { walk: Some(walk.clone()), ..standing.clone() };
    crate::persist!(
        context,
        context.store.save_checkpoint(&context.lease, run.resource, run.job, &checkpoint)
    )?;
    Ok(walk)
}
