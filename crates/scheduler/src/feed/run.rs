//! One run of a job, from its first row in `job_run` to its last: what goes wrong in it stays in it.

use std::sync::Arc;
use std::time::Instant;

use chrono::TimeDelta;
use spark_domain::plan::backoff;
use spark_domain::{Job, Recovery, Resource, Timestamp};
use spark_store::{Outcome, RunEnd, RunId, RunTotals};
use tracing::Instrument;

use crate::context::FeedContext;
use crate::cron;
use crate::error::{JobError, chain};
use crate::jobs::{self, Ended, Run};

/// How a run ended, for whoever ordered it.
#[derive(Debug)]
pub(crate) struct RunReport {
    pub(crate) result: Result<Ended, JobError>,
    pub(crate) totals: RunTotals,
}

/// Runs the job once and writes down how it ended. Never panics, whatever the job does.
pub(crate) async fn run_to_its_end(
    context: &Arc<FeedContext>,
    resource: Resource,
    job: Job,
    plan_only: bool,
) -> Option<RunReport> {
    // Two runs of one job would walk on one checkpoint: a plan that an operator asks for waits for the sweep.
    let _turn = context.turn(resource, job).await;
    let _running = context.begin_running();
    let begun = crate::persist!(context, context.store.begin_run(&context.lease, resource, job));
    let id = match begun {
        Ok(id) => id,
        Err(error) => {
            tracing::debug!(%resource, job_name = %job, error = chain(&error), "the run could not begin");
            return None;
        }
    };
    let span = tracing::info_span!("run", feed = %context.feed(), %resource, job_name = %job, run = id.0);
    context.metrics.run_began(context.feed(), resource, job);
    let started = Instant::now();
    let report = spawned(context, resource, job, id, plan_only, span.clone()).await;
    finish(context, (resource, job, plan_only), id, report, started).instrument(span).await
}

/// The job in a task of its own, so that a panic ends this run and nothing else.
async fn spawned(
    context: &Arc<FeedContext>,
    resource: Resource,
    job: Job,
    id: RunId,
    plan_only: bool,
    span: tracing::Span,
) -> Result<RunReport, String> {
    let owned = Arc::clone(context);
    let mut task = tokio::spawn(
        async move {
            let mut run = Run { context: &owned, id, job, resource, totals: RunTotals::default(), plan_only };
            let result = jobs::run(&mut run).await;
            RunReport { result, totals: run.totals }
        }
        .instrument(span),
    );
    tokio::select! {
        joined = &mut task => joined.map_err(|failure| match failure.try_into_panic() {
            Ok(panic) => panic_text(panic.as_ref()),
            Err(_) => "the run was cut off".to_owned(),
        }),
        () = context.hard.cancelled() => {
            task.abort();
            let cancelled = RunReport { result: Err(JobError::Cancelled), totals: RunTotals::default() };
            Ok(task.await.unwrap_or(cancelled))
        }
    }
}

async fn finish(
    context: &FeedContext,
    (resource, job, plan_only): (Resource, Job, bool),
    id: RunId,
    report: Result<RunReport, String>,
    started: Instant,
) -> Option<RunReport> {
    let seconds = started.elapsed().as_secs_f64();
    let (outcome, reason, message) = match &report {
        // A plan proves nothing to the clocks of the purge.
        Ok(RunReport { result: Ok(Ended::Done), .. }) if plan_only => (Outcome::Cancelled, None, None),
        Ok(RunReport { result: Ok(Ended::Done), .. }) => (Outcome::Success, None, None),
        Ok(RunReport { result: Ok(Ended::Refused(why)), .. }) => {
            (Outcome::Refused, Some("guard"), Some(why.clone()))
        }
        Ok(RunReport { result: Err(JobError::Cancelled | JobError::LeaseLost), .. }) => {
            (Outcome::Cancelled, Some("cancelled"), None)
        }
        Ok(RunReport { result: Err(error), .. }) => {
            (Outcome::Failed, Some(error.reason()), Some(chain(error)))
        }
        Err(panic) => (Outcome::Failed, Some("panic"), Some(panic.clone())),
    };
    let totals = report.as_ref().map_or_else(|_| RunTotals::default(), |report| report.totals);
    say(outcome, reason, message.as_deref(), &totals, seconds);
    context.metrics.run_ended(context.feed(), resource, job, outcome, reason, seconds);

    let result = match &report {
        Ok(report) => report.result.as_ref().err(),
        Err(_) => None,
    };
    match result {
        Some(error) => after_failure(context, resource, job, error).await,
        None if outcome == Outcome::Success => {
            let _ = context.refusals.token_accepted(context).await;
        }
        None => {}
    }
    let due_at = match outcome {
        Outcome::Failed => next_try(context, resource, job, result).await,
        // The sweep was complete; it is made anew at its next regular time, not at once.
        Outcome::Refused => next_turn(context, job).await,
        Outcome::Success | Outcome::Cancelled => None,
    };
    let end = RunEnd { outcome, reason, message: message.as_deref(), due_at, totals };
    let written = crate::persist!(context, context.store.end_run(&context.lease, id, &end));
    if let Err(error) = written {
        tracing::debug!(error = chain(&error), "how the run ended could not be written down");
    }
    report.ok()
}

/// When a failed job is due again; none if its next turn is soon enough.
async fn next_try(
    context: &FeedContext,
    resource: Resource,
    job: Job,
    error: Option<&JobError>,
) -> Option<Timestamp> {
    let unit = context.settings.pace.retry_unit;
    let now = context.now().await.ok()?;
    let states = context.store.job_states(context.feed()).await.ok()?;
    let failures = states
        .iter()
        .find(|state| state.resource == resource && state.job == job)
        .map_or(0, |state| state.failures);
    let wait = match error {
        Some(JobError::Restarting { restarts, .. }) => Some(backoff::after_restart(*restarts, unit)),
        Some(_) | None => backoff::after_failure(job, failures.saturating_add(1), unit),
    };
    wait.and_then(|wait| TimeDelta::from_std(wait).ok()).map(|wait| now + wait)
}

/// The next regular time of a job that runs by cron or daily.
async fn next_turn(context: &FeedContext, job: Job) -> Option<Timestamp> {
    let (settings, now) = (&context.settings, context.now().await.ok()?);
    match job {
        Job::Purge => cron::next_after(&settings.purge_at, settings.time_zone, now),
        _ => Some(now + TimeDelta::from_std(settings.daily_every).ok()?),
    }
}

/// What a failure means for the resource or the feed.
async fn after_failure(context: &FeedContext, resource: Resource, job: Job, error: &JobError) {
    let JobError::Feed(error) = error else { return };
    if let Err(error) = context.doubt_metadata(resource, error).await {
        tracing::debug!(error = chain(&error), "the metadata could not be ordered");
    }
    let handled = match error.recovery() {
        Recovery::SignIn => context.refusals.token_refused(context, resource, error).await,
        // 1505 is about an expansion and usually temporary; and one 404 from a gateway is no verdict about a
        // resource that has worked for years.
        Recovery::TurnOff if !is_verdict(job, error) => Ok(()),
        Recovery::TurnOff => {
            tracing::error!(error = chain(error), "the resource is turned off; the feed's others go on");
            let reason = chain(error);
            crate::persist!(context, context.store.turn_off_resource(&context.lease, resource, &reason))
        }
        Recovery::Retry { .. }
        | Recovery::WaitForSync
        | Recovery::Shrink
        | Recovery::StartOver
        | Recovery::GiveUp => Ok(()),
    };
    if let Err(error) = handled {
        tracing::debug!(error = chain(&error), "the failure's consequence could not be written down");
    }
}

/// Whether the feed says that the resource is not for this key.
fn is_verdict(job: Job, error: &spark_fetcher::Error) -> bool {
    let first = matches!(job, Job::InitialDownload | Job::Lookups);
    match error {
        spark_fetcher::Error::NotOffered(exchange) => first || exchange.code == Some(1500),
        _ => false,
    }
}

/// One line a run.
fn say(outcome: Outcome, reason: Option<&str>, message: Option<&str>, totals: &RunTotals, seconds: f64) {
    let RunTotals { pages, inserted, updated, unchanged, deleted, rejected, .. } = *totals;
    match outcome {
        Outcome::Success => {
            tracing::info!(pages, inserted, updated, unchanged, deleted, rejected, seconds, "done");
        }
        Outcome::Cancelled => {
            tracing::info!(pages, inserted, updated, seconds, "stopped; the next run goes on here");
        }
        Outcome::Refused => {
            tracing::error!(
                reason,
                message,
                deleted,
                seconds,
                "the purge waits for approval: purge plan shows it"
            );
        }
        Outcome::Failed => {
            tracing::warn!(reason, error = message, pages, inserted, updated, seconds, "failed");
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the run panicked: {}", text.unwrap_or_else(|| "without a message".to_owned()))
}
