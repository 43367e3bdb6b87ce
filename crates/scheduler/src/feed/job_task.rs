//! The task of one job of one resource: look when it is due, run it, look again.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use spark_domain::plan::schedule::{self, Facts, Intervals};
use spark_domain::{Job, Resource, Timestamp};

use super::run::run_to_its_end;
use crate::context::FeedContext;
use crate::cron;
use crate::error::{JobError, chain};
use crate::jobs::{expansions, media_refresh};

/// A task that knows nothing to wait for looks again after this long at the latest.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// A cron trigger is given this long to wake the task before its own alarm does.
const TRIGGER_GRACE: chrono::TimeDelta = chrono::TimeDelta::seconds(3);

pub(crate) async fn look_and_run(context: Arc<FeedContext>, resource: Resource, job: Job) {
    let wake = context.wake(resource, job);
    while !context.is_stopping() {
        let wait = match look(&context, resource, job).await {
            // A run that could not even begin is not tried again at once.
            Ok(Duration::ZERO) => match run_to_its_end(&context, resource, job, false).await {
                Some(_) => continue,
                None => context.settings.pace.retry_unit,
            },
            Ok(wait) => wait,
            Err(JobError::Cancelled | JobError::LeaseLost) => return,
            Err(error) => {
                tracing::error!(%resource, job_name = %job, error = chain(&error), "cannot tell whether the job is due");
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
            () = wake.notified() => {}
            () = context.soft.cancelled() => {}
            () = context.hard.cancelled() => {}
        }
    }
}

/// How long to wait until the job is due; nothing if it is.
async fn look(context: &FeedContext, resource: Resource, job: Job) -> Result<Duration, JobError> {
    if context.refusals.holds_back(context).await? {
        return Ok(LOOK_AGAIN);
    }
    let Some(facts) = facts(context, resource, job).await? else { return Ok(LOOK_AGAIN) };
    let intervals =
        Intervals { update_every: context.settings.update_every, daily_every: context.settings.daily_every };
    let now = context.now().await?;
    Ok(match schedule::due_at(job, &facts, &intervals) {
        Some(due) if due <= now => Duration::ZERO,
        Some(due) if facts.cron_at == Some(due) => wait_until(due + TRIGGER_GRACE, now),
        Some(due) => wait_until(due, now),
        None => LOOK_AGAIN,
    })
}

fn wait_until(due: Timestamp, now: Timestamp) -> Duration {
    (due - now).to_std().unwrap_or(Duration::ZERO).max(Duration::from_millis(1))
}

/// What the store knows of the job; none while its resource is turned off.
async fn facts(context: &FeedContext, resource: Resource, job: Job) -> Result<Option<Facts>, JobError> {
    let (store, feed, settings) = (&context.store, context.feed(), &context.settings);
    let resources = crate::persist!(context, store.resources(feed))?;
    let Some(known) = resources.into_iter().find(|state| state.resource == resource) else { return Ok(None) };
    if let Some(off) = &known.off {
        // Once a day the feed is asked whether it has thought better of it.
        let now = context.now().await?;
        if now - off.at < TimeDelta::from_std(settings.daily_every).unwrap_or(TimeDelta::MAX) {
            return Ok(None);
        }
        crate::persist!(context, store.turn_on_resource(&context.lease, resource))?;
    }
    let jobs = crate::persist!(context, store.job_states(feed))?;
    let own = jobs.into_iter().find(|state| state.resource == resource && state.job == job);
    let downloaded_at = known.initial_download_completed_at;
    let mut facts = Facts { downloaded_at, ..Facts::default() };
    if let Some(own) = own {
        facts.last_attempt_at = own.last_attempt_at;
        facts.last_success_at = own.last_success_at;
        facts.ordered_at = own.due_at;
        facts.in_walk = own.in_walk;
    }
    let cron = match job {
        Job::Purge => Some(&settings.purge_at),
        Job::Lookback => Some(&settings.lookback_at),
        _ => None,
    };
    // Counted from the last success; a failure orders its own retry.
    facts.cron_at = cron
        .zip(facts.last_success_at.or(downloaded_at))
        .and_then(|(six, base)| cron::next_after(six, settings.time_zone, base));
    if job == Job::MediaRefresh && downloaded_at.is_some() {
        let checkpoint = crate::persist!(context, store.checkpoint(feed, resource, job))?;
        let parts_rested = expansions::try_again(context, resource).await?;
        let relations = expansions::offered(context, resource).await?.relations;
        let wanted = !relations.is_empty();
        facts.fill_pending = parts_rested || wanted && !media_refresh::is_filled(&checkpoint);
        if wanted {
            facts.relation_due_at =
                crate::persist!(context, store.next_due_relation(feed, resource, &relations))?;
        }
    }
    Ok(Some(facts))
}
