//! One feed: wait for its lease, work while it is ours, hand it over.

pub(crate) mod budget;
mod events;
mod heartbeat;
mod job_task;
pub(crate) mod once;
mod operator;
pub(crate) mod refusals;
pub(crate) mod run;

use std::sync::Arc;

use spark_domain::Job;
use spark_domain::plan::schedule;
use spark_fetcher::Fetcher;
use spark_store::{FeedRegistration, Lease, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::FeedContext;
use crate::cron::Triggers;
use crate::error::{JobError, chain};
use crate::metrics::Metrics;
use crate::oauth;
use crate::settings::FeedSettings;

/// What a feed needs of the process.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) settings: Arc<FeedSettings>,
    pub(crate) store: Store,
    pub(crate) fetcher: Fetcher,
    pub(crate) metrics: Arc<Metrics>,
    /// Names this process in the lease.
    pub(crate) instance: Arc<str>,
    pub(crate) soft: CancellationToken,
    pub(crate) hard: CancellationToken,
}

/// Replicates the feed until told to stop: as its leader while the lease is ours, else as a stand-by.
#[tracing::instrument(name = "feed", skip_all, fields(feed = %feed.settings.feed()))]
pub(crate) async fn replicate(feed: Feed) {
    while !feed.soft.is_cancelled() {
        let Some(lease) = wait_for_lease(&feed).await else { return };
        feed.metrics.lease_held(feed.settings.feed(), true);
        tracing::info!(epoch = lease.epoch(), "the lease is ours");
        let context = Arc::new(lead(&feed, lease));
        let served = serve(&context).await;
        if let Err(error) = &served {
            tracing::warn!(error = chain(error), "the feed is given up for now");
        }
        feed.metrics.lease_held(feed.settings.feed(), false);
        if let Err(error) = context.store.release_lease(&context.lease).await {
            tracing::debug!(error = chain(&error), "the lease could not be released; it will expire");
        }
        if served.is_err() {
            tokio::select! {
                () = tokio::time::sleep(feed.settings.pace.retry_unit) => {}
                () = feed.soft.cancelled() => {}
            }
        }
    }
}

/// The context of a feed that we lead. Its hard token is cut with the lease.
pub(crate) fn lead(feed: &Feed, lease: Lease) -> FeedContext {
    FeedContext::new(
        Arc::clone(&feed.settings),
        feed.store.clone(),
        feed.fetcher.clone(),
        lease,
        Arc::clone(&feed.metrics),
        (feed.soft.child_token(), feed.hard.child_token()),
    )
}

/// Asks for the lease until it is ours; none if we are to stop first.
async fn wait_for_lease(feed: &Feed) -> Option<Lease> {
    let pace = &feed.settings.pace;
    // Said once each time it changes: it is asked for every second.
    let mut said = None;
    loop {
        match feed.store.acquire_lease(feed.settings.feed(), &feed.instance, pace.lease_life).await {
            Ok(Some(lease)) => return Some(lease),
            Ok(None) => {
                if said != Some(true) {
                    tracing::info!("another instance leads this feed; standing by");
                }
                said = Some(true);
            }
            Err(error) => {
                if said != Some(false) {
                    tracing::warn!(error = chain(&error), "cannot ask for the lease; Postgres is waited for");
                }
                said = Some(false);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pace.lease_poll) => {}
            () = feed.soft.cancelled() => return None,
        }
    }
}

/// Works on the feed until a stop or the loss of the lease.
async fn serve(context: &Arc<FeedContext>) -> Result<(), JobError> {
    let tasks = TaskTracker::new();
    // The lease beats before anything that may take long.
    tasks.spawn(heartbeat::beat(Arc::clone(context)));
    if let Err(error) = register(context).await {
        context.soft.cancel();
        tasks.close();
        tasks.wait().await;
        return Err(error);
    }
    let triggers = start_triggers(context).await;
    tasks.spawn(operator::serve_requests(Arc::clone(context)));
    tasks.spawn(refusals::probe_while_blocked(Arc::clone(context)));
    tasks.spawn(budget::look_at_key(Arc::clone(context)));
    tasks.spawn(oauth::refresh_in_time(Arc::clone(context)));
    tasks.spawn(events::read_what_they_name(Arc::clone(context)));
    for resource in &context.settings.resources {
        for job in Job::ALL.into_iter().filter(|job| context.settings.has(*job, *resource)) {
            tasks.spawn(job_task::look_and_run(Arc::clone(context), *resource, job));
        }
    }
    tasks.close();
    tasks.wait().await;
    if let Some(triggers) = triggers {
        triggers.stop().await;
    }
    Ok(())
}

/// Tells the store of the feed. A changed base URL, filter, exclusion or set of relations orders a resync.
pub(crate) async fn register(context: &FeedContext) -> Result<(), JobError> {
    let settings = &context.settings;
    let configuration = settings.fingerprint();
    let registration = FeedRegistration {
        api: settings.fetcher.api.as_str(),
        base_url: settings.fetcher.base_url.as_str(),
        configuration: &configuration,
        resources: &settings.resources,
    };
    let before = crate::persist!(context, context.store.register_feed(&context.lease, &registration))?;
    budget::register(context).await?;
    let changed = before.configuration.is_some_and(|before| before != configuration);
    context.recall_paging(changed).await?;
    if changed {
        tracing::warn!(
            "base URL, filter, exclusions or relations have changed: everything is downloaded again"
        );
        let now = context.now().await?;
        for resource in settings.resources.iter().copied() {
            forget_walks(context, resource).await?;
            if resource.has_updates() {
                let (lease, job) = (&context.lease, Job::Resync);
                crate::persist!(context, context.store.set_due(lease, resource, job, Some(now)))?;
            }
        }
        crate::persist!(context, context.store.set_configuration(&context.lease, &configuration))?;
    }
    for resource in &settings.resources {
        let mut batches = 0u32;
        while !context.is_stopping()
            && crate::persist!(context, context.store.refill_columns(&context.lease, *resource, 500))?
        {
            batches += 1;
            // The first few batches only find that there is nothing to do.
            if batches.is_multiple_of(100) {
                tracing::info!(%resource, batches, "typed columns of an older version are being filled");
            }
        }
    }
    Ok(())
}

/// Ends every walk under way, because its links, or its filter, are of the former configuration. Cursors stay.
/// The fill walk of the relations begins anew too: one of them may be new.
async fn forget_walks(context: &FeedContext, resource: spark_domain::Resource) -> Result<(), JobError> {
    for job in Job::ALL {
        let known = crate::persist!(context, context.store.checkpoint(context.feed(), resource, job))?;
        if known.walk.is_some() {
            let checkpoint = spark_domain::Checkpoint { walk: None, ..known };
            crate::persist!(
                context,
                context.store.save_checkpoint(&context.lease, resource, job, &checkpoint)
            )?;
        }
    }
    Ok(())
}

/// The cron triggers of a feed. Without them the tasks' own alarms still ring.
async fn start_triggers(context: &FeedContext) -> Option<Triggers> {
    let settings = &context.settings;
    let armed = async {
        let triggers = Triggers::start().await?;
        for resource in settings.resources.iter().copied() {
            for (job, six) in [(Job::Purge, &settings.purge_at), (Job::Lookback, &settings.lookback_at)] {
                if schedule::applies(job, resource) {
                    triggers.wake_at(six, settings.time_zone, context.wake(resource, job)).await?;
                }
            }
        }
        Ok::<_, tokio_cron_scheduler::JobSchedulerError>(triggers)
    };
    match armed.await {
        Ok(triggers) => Some(triggers),
        Err(error) => {
            tracing::warn!(%error, "cron triggers are not available; alarms serve in their place");
            None
        }
    }
}

/// The name under which this process holds leases: host, process, and a number that no other run has.
pub(crate) fn instance_name() -> Arc<str> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let run = uuid::Uuid::new_v4().simple().to_string();
    format!("{}:{}:{}", host.trim(), std::process::id(), &run[..8]).into()
}
