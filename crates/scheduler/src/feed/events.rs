//! Reads at once what webhooks named.
//!
//! Whoever leads the feed looks into its inbox every second, whichever instance the deliveries reached. Events are
//! hints: a key that answers is stored as any page's record is, by the same rules; one that does not is left to the
//! sweep. No run is written down for this, or runs would be counted in thousands a day: what became of an event
//! shows in its row.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use spark_domain::job::Priority;
use spark_domain::plan::{backoff, budget, event};
use spark_domain::{Job, Record, RecordKey, Recovery, Rejected, Resource};
use spark_store::{Confirmed, DueEvent, EventRead, RunId};
use tokio::time::Instant;

use crate::context::FeedContext;
use crate::error::{JobError, chain};
use crate::jobs::by_key::{KeyAnswer, KeyQuestion, preferred_form, read};

/// How often the inbox is looked into.
const LOOK: Duration = Duration::from_secs(1);

/// About as many requests find out that one key of a list is what the feed refuses.
const TO_FIND_OUT: usize = 16;

/// Keys of one resource that are read at once.
const BATCH: i64 = 100;

/// Resources whose last reading failed: how often in a row, and until when they rest.
type Resting = BTreeMap<Resource, (u32, Instant)>;

pub(crate) async fn read_what_they_name(context: Arc<FeedContext>) {
    let mut resting = Resting::new();
    while !context.is_stopping() {
        let wait = match round(&context, &mut resting).await {
            Ok(requests) => event::rest(requests, spacing(&context)).max(LOOK),
            Err(JobError::Cancelled | JobError::LeaseLost) => return,
            Err(error) => {
                tracing::debug!(error = chain(&error), "the inbox cannot be read now");
                LOOK
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = context.soft.cancelled() => return,
            () = context.hard.cancelled() => return,
        }
    }
}

fn spacing(context: &FeedContext) -> Duration {
    let settings = &context.settings;
    budget::spacing(settings.requests_per_5_minutes, settings.pace.budget_window, budget::SLOT_LIFE)
}

/// Reads one batch of each resource that has events; how many requests that took.
async fn round(context: &Arc<FeedContext>, resting: &mut Resting) -> Result<usize, JobError> {
    let due = context.store.due_events(context.feed(), BATCH).await.map_err(JobError::Store)?;
    if due.is_empty() || context.refusals.holds_back(context).await? {
        return Ok(0);
    }
    let states = crate::persist!(context, context.store.resources(context.feed()))?;
    let mut requests = 0;
    for batch in due.chunk_by(|one, next| one.resource == next.resource) {
        let resource = batch[0].resource;
        if resting.get(&resource).is_some_and(|(_, until)| *until > Instant::now()) {
            continue;
        }
        let known = states.iter().find(|state| state.resource == resource);
        let followed = context.settings.resources.contains(&resource)
            && known
                .is_some_and(|state| state.off.is_none() && state.initial_download_completed_at.is_some());
        if !followed {
            // Its download, or the first update after it was off, brings whatever the events meant.
            settle(context, resource, batch, |_| None).await?;
            context.metrics.events_ignored(context.feed(), batch.len());
            continue;
        }
        let (owned, batch) = (Arc::clone(context), batch.to_vec());
        // In a task of its own: a panic ends this reading, and not all that are to come.
        let mut reading = tokio::spawn(async move { read_batch(&owned, resource, &batch).await });
        let ended = tokio::select! {
            ended = &mut reading => ended,
            () = context.hard.cancelled() => {
                reading.abort();
                return Err(JobError::Cancelled);
            }
        };
        let problem = match ended {
            Ok(Ok(asked)) => {
                requests += asked;
                resting.remove(&resource);
                continue;
            }
            Ok(Err(error @ (JobError::Cancelled | JobError::LeaseLost))) => return Err(error),
            Ok(Err(error)) => {
                heed(context, resource, &error).await;
                chain(&error)
            }
            Err(panic) => panic.to_string(),
        };
        requests += 1;
        rest(context, resource, &problem, resting);
    }
    Ok(requests)
}

/// Leaves a resource alone for a while, as long as media would be.
fn rest(context: &FeedContext, resource: Resource, problem: &str, resting: &mut Resting) {
    let failures = resting.get(&resource).map_or(1, |(failures, _)| failures.saturating_add(1));
    let unit = context.settings.pace.retry_unit;
    let wait = backoff::after_failure(Job::MediaRefresh, failures, unit).unwrap_or(unit);
    tracing::warn!(%resource, error = problem, wait = ?wait, "what events named could not be read; it stays due");
    resting.insert(resource, (failures, Instant::now() + wait));
}

/// A refused token is the whole feed's affair; anything else the update meets as well, and deals with.
async fn heed(context: &FeedContext, resource: Resource, error: &JobError) {
    let JobError::Feed(error) = error else { return };
    if error.recovery() == Recovery::SignIn
        && let Err(error) = context.refusals.token_refused(context, resource, error).await
    {
        tracing::debug!(error = chain(&error), "the refusal could not be written down");
    }
}

/// Reads and stores as many of the keys as one question holds; how many requests it took.
async fn read_batch(context: &FeedContext, resource: Resource, due: &[DueEvent]) -> Result<usize, JobError> {
    // While we write, the lease is kept, also on a gentle stop.
    let _running = context.begin_running();
    // Before the question: what is read later than this is only fresher.
    let (asked_at, began) = (context.now().await?, Instant::now());
    let keys: Vec<RecordKey> = due.iter().map(|event| event.key.clone()).collect();
    // A listing that was withdrawn is an event like any other.
    let question = KeyQuestion { may_be_silent: true, ..KeyQuestion::records(resource, Priority::Update) };
    let preferred = preferred_form(context, resource).await?;
    let (asked, pages, requests) = match read(context, &question, &keys, preferred).await? {
        KeyAnswer::Pages { asked, pages } => {
            let requests = pages.len().max(1);
            (asked, pages, requests)
        }
        // The update meets it too, and says so.
        KeyAnswer::Undeliverable { .. } => (1, Vec::new(), TO_FIND_OUT),
        KeyAnswer::Misread { asked } => return Err(JobError::KeysMisread { asked }),
    };
    let read: Vec<_> = pages.iter().map(|page| context.read(page, resource)).collect();
    let rejected: Vec<Rejected> = read.iter().flat_map(|page| page.rejected.clone()).collect();
    // A key that is shown twice is stored once.
    let records: HashMap<&RecordKey, &Record<'_>> =
        read.iter().flat_map(|page| &page.records).map(|record| (&record.key, record)).collect();
    let records: Vec<Record<'_>> = records.into_values().cloned().collect();
    let nothing = Confirmed::new();
    let commit = context.page_of_keys((RunId::NONE, Job::Update), resource, &records, &rejected, &nothing);
    let outcome = crate::persist!(context, context.store.commit_page(&context.lease, &commit))?;
    context.metrics.page_committed(context.feed(), resource, Job::Update, &outcome);
    if outcome.inserted + outcome.updated > 0 {
        context.wake(resource, Job::MediaRefresh).notify_one();
    }
    let due = &due[..asked];
    let now = asked_at + TimeDelta::from_std(began.elapsed()).unwrap_or_default();
    let first = due.iter().filter(|event| !event.read_before);
    context.metrics.events_read(context.feed(), resource, first.map(|event| now - event.received_at));
    // The inbox is settled after the rows: a crash in between reads these keys once more.
    let again = |event: &DueEvent| event::read_again_at(event.received_at, asked_at, context.cache_window());
    settle(context, resource, due, again).await?;
    Ok(requests)
}

async fn settle(
    context: &FeedContext,
    resource: Resource,
    due: &[DueEvent],
    again: impl Fn(&DueEvent) -> Option<spark_domain::Timestamp>,
) -> Result<(), JobError> {
    let read: Vec<EventRead<'_>> =
        due.iter().map(|event| EventRead { event, again_at: again(event) }).collect();
    crate::persist!(context, context.store.settle_events(&context.lease, resource, &read))
}
