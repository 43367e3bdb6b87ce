//! Asks for the last 48 hours once more: what surfaced later than the cache window is caught here, and what
//! is known already costs no write.

use chrono::TimeDelta;
use spark_domain::plan::update;
use spark_domain::{Checkpoint, Job, Query, Walk};
use spark_store::Finish;

use super::collection::{Collection, walk};
use super::{Ended, Run};
use crate::error::JobError;

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    let context = run.context;
    let (feed, resource) = (context.feed(), run.resource);
    let checkpoint = crate::persist!(context, context.store.checkpoint(feed, resource, run.job))?;
    let (start, bounds) = match checkpoint.walk.clone() {
        Some(walk) if let Some(bounds) = walk.window => (walk, bounds),
        _ => {
            let span = TimeDelta::from_std(context.settings.lookback_span).unwrap_or(TimeDelta::MAX);
            let window = update::lookback_window(context.now().await?, span);
            let bounds = (window.after, window.until);
            (super::begin(run, Some(bounds), &checkpoint).await?, bounds)
        }
    };
    let expanded = super::update::expanded(run);
    // The cursor of the updates is not this job's to move.
    let end = |_: &Walk| (Checkpoint::default(), None::<Finish>);
    let collection = Collection {
        query: Query::modified(resource, bounds.0, bounds.1, expanded.clone()),
        expanded,
        mark_relations: true,
        stage: None,
        end: &end,
        standing: Checkpoint::default(),
    };
    walk(run, start, &collection).await?;
    context.wake(resource, Job::MediaRefresh).notify_one();
    Ok(Ended::Done)
}
