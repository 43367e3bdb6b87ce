//! One job, once, for the command line: under the lease like any other run.

use std::collections::BTreeMap;
use std::sync::Arc;

use spark_domain::{Job, Resource};

use super::run::{RunReport, run_to_its_end};
use super::{Feed, budget, heartbeat, lead, operator, register};
use crate::error::JobError;

/// Why not even a run began.
#[derive(Debug)]
pub(crate) enum NotBegun {
    /// Another instance leads the feed; its name.
    LeaseHeld(String),
    /// The store or the feed's settings stood in the way.
    Failed(JobError),
}

pub(crate) async fn run(
    feed: &Feed,
    job: Job,
    resource: Option<Resource>,
    plan_only: bool,
) -> BTreeMap<Resource, Result<Option<RunReport>, NotBegun>> {
    let mut reports = BTreeMap::new();
    let first = resource.or_else(|| feed.settings.resources.first().copied()).unwrap_or(Resource::Property);
    let pace = &feed.settings.pace;
    let lease = match feed.store.acquire_lease(feed.settings.feed(), &feed.instance, pace.lease_life).await {
        Ok(Some(lease)) => lease,
        Ok(None) => {
            let holder = feed.store.lease_holder(feed.settings.feed()).await.ok().flatten();
            let name = holder.map_or_else(|| "unknown".to_owned(), |holder| holder.holder);
            reports.insert(first, Err(NotBegun::LeaseHeld(name)));
            return reports;
        }
        Err(error) => {
            reports.insert(first, Err(NotBegun::Failed(JobError::Store(error))));
            return reports;
        }
    };
    let context = Arc::new(lead(feed, lease));
    let beating = tokio::spawn(heartbeat::beat(Arc::clone(&context)));
    match register(&context).await {
        Ok(()) => {
            budget::say_rivals(&context, &mut Vec::new()).await;
            for resource in operator::affected(&context, job, resource) {
                if context.is_stopping() {
                    break;
                }
                let report = run_to_its_end(&context, resource, job, plan_only).await;
                reports.insert(resource, Ok(report));
            }
        }
        Err(error) => {
            reports.insert(first, Err(NotBegun::Failed(error)));
        }
    }
    context.soft.cancel();
    let _ = beating.await;
    let _ = context.store.release_lease(&context.lease).await;
    reports
}
