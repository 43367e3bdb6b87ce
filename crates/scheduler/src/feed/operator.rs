//! Carries out what operators ask of a running daemon: rows that commands leave in `operator_request`.

use std::sync::Arc;
use std::time::Duration;

use spark_domain::{Job, Resource};
use spark_store::{OperatorRequest, RequestId, RequestKind};

use super::run::run_to_its_end;
use crate::context::FeedContext;
use crate::error::{JobError, chain};
use crate::jobs::Ended;

/// How often requests are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// An approval ends after this long.
const APPROVAL: Duration = Duration::from_hours(24);

pub(crate) async fn serve_requests(context: Arc<FeedContext>) {
    // What must not be taken again: sweeps for a plan, which take long, and whatever panicked.
    let mut in_hand: Vec<RequestId> = Vec::new();
    while !context.is_stopping() {
        match context.store.take_requests(&context.lease, &in_hand).await {
            Ok(requests) => {
                for request in requests {
                    let (id, long) = (request.id, matches!(request.kind, RequestKind::PurgePlan { .. }));
                    let context = Arc::clone(&context);
                    // Each in a task: a panic ends only its request. The short ones one after the other: a resume
                    // that overtook its pause would leave the feed at rest for ever.
                    let answered = tokio::spawn(async move { answer(&context, &request).await });
                    if long || answered.await.is_err() {
                        in_hand.push(id);
                    }
                }
            }
            Err(error) => tracing::debug!(error = chain(&error), "operators' requests cannot be read now"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = context.soft.cancelled() => return,
            () = context.hard.cancelled() => return,
        }
    }
}

async fn answer(context: &Arc<FeedContext>, request: &OperatorRequest) {
    tracing::info!(by = request.by, request = ?request.kind, "an operator asks");
    let (ok, message) = match carry_out(context, &request.kind, &request.by).await {
        Ok(message) => (true, message),
        Err(error) => (false, chain(&error)),
    };
    let noted =
        crate::persist!(context, context.store.finish_request(&context.lease, request.id, ok, &message));
    if let Err(error) = noted {
        tracing::debug!(error = chain(&error), "the answer could not be written down");
    }
}

/// Does what was asked, and says in one line what came of it.
pub(crate) async fn carry_out(
    context: &Arc<FeedContext>,
    kind: &RequestKind,
    by: &str,
) -> Result<String, JobError> {
    let (store, lease) = (&context.store, &context.lease);
    let now = context.now().await?;
    match kind {
        RequestKind::Once { job, resource } => {
            let resources = affected(context, *job, *resource);
            for resource in &resources {
                crate::persist!(context, store.turn_on_resource(lease, *resource))?;
                crate::persist!(context, store.set_due(lease, *resource, *job, Some(now)))?;
                context.wake(*resource, *job).notify_one();
            }
            Ok(format!("{job} is due now for {}", names(&resources)))
        }
        RequestKind::Resync { resource } => {
            let resources = affected(context, Job::Resync, *resource);
            for resource in &resources {
                crate::persist!(context, store.turn_on_resource(lease, *resource))?;
                crate::persist!(context, store.set_due(lease, *resource, Job::Resync, Some(now)))?;
                context.wake(*resource, Job::Resync).notify_one();
            }
            Ok(format!("resync is due now for {}", names(&resources)))
        }
        RequestKind::PurgePlan { resource } => {
            let mut said = Vec::new();
            for resource in affected(context, Job::Purge, *resource) {
                let report = run_to_its_end(context, resource, Job::Purge, true).await;
                said.push(match report.map(|report| report.result) {
                    Some(Ok(Ended::Done)) => format!("{resource}: planned"),
                    Some(Ok(Ended::Refused(why))) => format!("{resource}: {why}"),
                    Some(Err(error)) => format!("{resource}: {}", chain(&error)),
                    None => format!("{resource}: could not begin"),
                });
            }
            Ok(said.join("; "))
        }
        RequestKind::PurgeApprove { plan } => {
            let resource = crate::persist!(context, store.approve_plan(lease, *plan, by, APPROVAL))?;
            let Some(resource) = resource else {
                return Ok(format!("plan {} is no longer open; `purge plan` shows what is", plan.0));
            };
            crate::persist!(context, store.set_due(lease, resource, Job::Purge, Some(now)))?;
            context.wake(resource, Job::Purge).notify_one();
            Ok(format!(
                "plan {} of {resource} is approved; a sweep is due now and deletes what it also lacks",
                plan.0
            ))
        }
        RequestKind::Pause => {
            crate::persist!(context, store.pause_feed(lease, by))?;
            context.refusals.forget();
            Ok("paused: what runs finishes, nothing new begins".to_owned())
        }
        RequestKind::Resume => {
            crate::persist!(context, store.resume_feed(lease))?;
            context.refusals.forget();
            for resource in &context.settings.resources {
                context.wake_all(*resource);
            }
            Ok("resumed".to_owned())
        }
        RequestKind::Repair { resource, .. }
            if affected(context, Job::Update, Some(*resource)).is_empty() =>
        {
            Ok(format!("{resource} is not replicated by updates here; nothing was ordered"))
        }
        RequestKind::Repair { resource, key } => {
            let keys = [key.clone()];
            let reason = spark_domain::plan::reread::RereadReason::Event;
            crate::persist!(context, store.add_rereads(lease, *resource, reason, &keys, now))?;
            crate::persist!(context, store.set_due(lease, *resource, Job::Update, Some(now)))?;
            context.wake(*resource, Job::Update).notify_one();
            Ok(format!("{resource} {key} will be read by its key"))
        }
    }
}

/// The resources for which a job is meant.
pub(crate) fn affected(context: &FeedContext, job: Job, resource: Option<Resource>) -> Vec<Resource> {
    let configured = context.settings.resources.iter().copied();
    configured
        .filter(|known| resource.is_none_or(|asked| asked == *known) && context.settings.has(job, *known))
        .collect()
}

fn names(resources: &[Resource]) -> String {
    let names: Vec<_> = resources.iter().map(|resource| resource.as_str()).collect();
    if names.is_empty() { "no configured resource".to_owned() } else { names.join(", ") }
}
