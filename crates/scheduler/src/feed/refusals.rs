//! Refused tokens and paused feeds: who stands still, until when, and how it heals.
//!
//! One refusal may be a hiccup. Two, at least a minute apart, block the feed if a resource that worked before is
//! refused, else they turn off that resource alone. A blocked feed asks for one record every 15 minutes, and
//! at once when its token file has changed or somebody signed in: never more, since hammering a refused key gets it noticed.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeDelta;
use spark_domain::job::Priority;
use spark_domain::walk::Position;
use spark_domain::{Query, Resource};
use spark_fetcher::{PageRequest, ReloadError};
use spark_store::FeedState;
use tokio::time::Instant;

use crate::context::{FeedContext, lock};
use crate::error::{JobError, chain};

/// The feed's state is read from the store at most this often.
const FRESH: Duration = Duration::from_millis(500);

/// How often the token file is looked at.
const WATCH_TOKEN: Duration = Duration::from_secs(5);

/// Below this a skew of the clocks is noise.
const NOTED_SKEW: f64 = 2.0;

/// What this process remembers of the feed's standing.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    known: Mutex<Option<(Instant, Standing)>>,
    skew: Mutex<Option<f64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    blocked: bool,
    refused: bool,
    paused: bool,
}

impl Refusals {
    /// Whether jobs must wait: the feed is blocked or paused.
    pub(crate) async fn holds_back(&self, context: &FeedContext) -> Result<bool, JobError> {
        let standing = self.standing(context).await?;
        Ok(standing.blocked || standing.paused)
    }

    /// A request was refused for its token.
    pub(crate) async fn token_refused(
        &self,
        context: &FeedContext,
        resource: Resource,
        error: &spark_fetcher::Error,
    ) -> Result<(), JobError> {
        let reason = chain(error);
        let first = crate::persist!(context, context.store.note_refusal(&context.lease))?;
        self.forget();
        let now = context.now().await?;
        let patience = TimeDelta::from_std(context.settings.pace.refusal_patience).unwrap_or(TimeDelta::MAX);
        // Nothing was even asked: that is no hiccup, and no resource's own.
        let signed_out = matches!(error, spark_fetcher::Error::SignedOut { .. });
        if !signed_out && now - first < patience {
            tracing::warn!(
                error = reason,
                "the token was refused; if it is again in a minute, the feed stops"
            );
            return Ok(());
        }
        let resources = crate::persist!(context, context.store.resources(context.feed()))?;
        let worked_before = resources.iter().any(|state| state.resource == resource && state.ever_answered);
        let others_work = resources.iter().any(|state| state.resource != resource && state.ever_answered);
        if signed_out || worked_before || !others_work {
            tracing::error!(
                error = reason,
                "the token is refused: the feed is blocked until the token works again"
            );
            crate::persist!(context, context.store.block_feed(&context.lease, &reason))?;
        } else {
            tracing::error!(%resource, error = reason, "this resource alone is refused; it is turned off");
            crate::persist!(context, context.store.turn_off_resource(&context.lease, resource, &reason))?;
            crate::persist!(context, context.store.unblock_feed(&context.lease))?;
        }
        self.forget();
        Ok(())
    }

    /// A request succeeded: an earlier refusal was a hiccup.
    pub(crate) async fn token_accepted(&self, context: &FeedContext) -> Result<(), JobError> {
        if self.standing(context).await?.refused {
            crate::persist!(context, context.store.unblock_feed(&context.lease))?;
            self.forget();
        }
        Ok(())
    }

    /// Keeps by how much the feed's clock is ahead of Postgres', if that moved.
    pub(crate) async fn note_skew(&self, context: &FeedContext, seconds: f64) -> Result<(), JobError> {
        let moved = {
            let mut known = lock(&self.skew);
            let moved = known.is_none_or(|before| (before - seconds).abs() > NOTED_SKEW);
            if moved {
                *known = Some(seconds);
            }
            moved
        };
        if !moved {
            return Ok(());
        }
        if seconds.abs() > 120.0 {
            tracing::warn!(
                seconds,
                "the feed's clock and Postgres' differ; the earlier one moves the cursor"
            );
        }
        crate::persist!(context, context.store.note_clock_skew(&context.lease, seconds))
    }

    /// Reads the state anew next time.
    pub(crate) fn forget(&self) {
        *lock(&self.known) = None;
    }

    async fn standing(&self, context: &FeedContext) -> Result<Standing, JobError> {
        let known = *lock(&self.known);
        if let Some((at, standing)) = known
            && at.elapsed() < FRESH
        {
            return Ok(standing);
        }
        let state = crate::persist!(context, context.store.feed_state(context.feed()))?;
        let standing = Standing {
            blocked: state.as_ref().is_some_and(|state| state.blocked.is_some()),
            refused: state.as_ref().is_some_and(|state| state.refused_at.is_some()),
            paused: state.as_ref().is_some_and(|state| state.paused.is_some()),
        };
        context.metrics.feed_blocked(context.feed(), standing.blocked);
        *lock(&self.known) = Some((Instant::now(), standing));
        Ok(standing)
    }
}

/// While the feed is blocked: one small question every 15 minutes, and one at once for a new token.
pub(crate) async fn probe_while_blocked(context: Arc<FeedContext>) {
    let pace = &context.settings.pace;
    let mut probed = Instant::now();
    while !context.is_stopping() {
        tokio::select! {
            () = tokio::time::sleep(WATCH_TOKEN.min(pace.probe_every)) => {}
            () = context.soft.cancelled() => return,
            () = context.hard.cancelled() => return,
        }
        let new_token = match context.fetcher.reload_token().await {
            Ok(changed) => changed,
            // It is why the feed is blocked, and was said then.
            Err(ReloadError::Keeper(_)) => false,
            Err(error) => {
                tracing::warn!(%error, "the token file cannot be read; the token in memory is kept");
                false
            }
        };
        let Ok(Some(state)) = context.store.feed_state(context.feed()).await else { continue };
        if state.blocked.is_some() && (new_token || probed.elapsed() >= pace.probe_every) {
            probed = Instant::now();
            if let Err(error) = probe(&context, &state).await {
                tracing::debug!(error = chain(&error), "the probe could not be finished");
            }
        }
    }
}

async fn probe(context: &FeedContext, state: &FeedState) -> Result<(), JobError> {
    let resources = crate::persist!(context, context.store.resources(context.feed()))?;
    let worked = resources
        .iter()
        .filter(|resource| resource.off.is_none())
        .max_by_key(|resource| resource.ever_answered);
    let Some(worked) = worked else { return Ok(()) };
    let query = Query { count: false, ..Query::key_list(worked.resource) };
    let position = Position::Start;
    let request =
        PageRequest { query: &query, position: &position, paging: context.paging(worked.resource), top: 1 };
    match context.ask(&request, Priority::Update).await {
        Ok(_) => {
            let since = state.blocked.as_ref().map(|blocked| blocked.at.to_rfc3339());
            tracing::info!(blocked_since = since, "the token works again; the feed goes on");
            crate::persist!(context, context.store.unblock_feed(&context.lease))?;
            context.refusals.forget();
            for resource in &context.settings.resources {
                context.wake_all(*resource);
            }
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "the token is still refused; the feed stays blocked");
        }
    }
    Ok(())
}
