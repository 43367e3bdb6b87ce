//! Asks for the last 48 hours once more: what surfaced later than the cache window is caught here, and what
//! is known already costs no write. What no stamp can tell about is read by its key.

use chrono::TimeDelta;
use spark_domain::plan::update::{self, UpdateWindow};
use spark_domain::{Checkpoint, Job, Timestamp};
use spark_store::Finish;

use super::{Ended, Run, unstamped, window};
use crate::error::JobError;

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    let context = run.context;
    let (feed, resource) = (context.feed(), run.resource);
    let checkpoint = crate::persist!(context, context.store.checkpoint(feed, resource, run.job))?;
    let (mut whole, mut under_way) = if let Some(walk) = checkpoint.walk
        && let Some((after, until)) = walk.window
    {
        (UpdateWindow { after, until }, Some(walk))
    } else {
        let span = TimeDelta::from_std(context.settings.lookback_span).unwrap_or(TimeDelta::MAX);
        (update::lookback_window(context.now().await?, span), None)
    };
    // The cursor of the updates is not this job's to move.
    let end = |_: Option<Timestamp>| (Checkpoint::default(), None::<Finish>);
    loop {
        window::pass(run, whole, under_way.take(), &Checkpoint::default(), &end).await?;
        // What was interrupted may have been a part of the window.
        let Some(until) = whole.until else { break };
        whole = UpdateWindow { after: until, until: None };
    }
    unstamped::read_again(run).await?;
    context.wake(resource, Job::MediaRefresh).notify_one();
    Ok(Ended::Done)
}
