//! Refused tokens and paused feeds: who stands still, until when, and how it heals.
//!
//! One refusal may be a hiccup. Two, at least a minute apart, block the feed if a resource that worked before is
//! refused, else they turn off that resource alone. A blocked feed asks for one record at once with a token that this
//! process has not seen refused, and then every 15 minutes: never more, since hammering a refused key gets it noticed.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeDelta;
use spark_domain::job::Priority;
use spark_domain::walk::Position;
use spark_domain::{Query, Recovery, Resource};
use spark_fetcher::{PageRequest, ReloadError, TokenStanding};
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

/// While the feed is blocked: one small question at once with a token that was not refused yet, whoever put it in
/// place, and one every 15 minutes with one that was.
pub(crate) async fn probe_while_blocked(context: Arc<FeedContext>) {
    let probe_every = context.settings.pace.probe_every;
    let look = WATCH_TOKEN.min(probe_every);
    let mut turn = Turn::new(look);
    while !context.is_stopping() {
        reload(&context).await;
        let state = context.store.feed_state(context.feed()).await;
        if let Ok(Some(state)) = state
            && state.blocked.is_some()
            && turn.has_come(context.fetcher.token_standing(), probe_every)
        {
            if let Err(error) = probe(&context, &state).await {
                tracing::debug!(error = chain(&error), "the probe could not be finished");
            }
            turn.probed(probe_every);
        }
        tokio::select! {
            () = tokio::time::sleep(look) => {}
            () = context.soft.cancelled() => return,
            () = context.hard.cancelled() => return,
        }
    }
}

async fn reload(context: &FeedContext) {
    match context.fetcher.reload_token().await {
        // It is why the feed is blocked, and was said then.
        Ok(_) | Err(ReloadError::Keeper(_)) => {}
        Err(error) => tracing::warn!(%error, "the token file cannot be read; the token in memory is kept"),
    }
}

/// When a token that nobody refused is probed again: its probe failed for another reason, which may pass soon.
struct Turn {
    next: Instant,
    pause: Duration,
    least: Duration,
    last: Option<Instant>,
}

impl Turn {
    fn new(least: Duration) -> Self {
        Self { next: Instant::now(), pause: least, least, last: None }
    }

    fn has_come(&mut self, standing: TokenStanding, probe_every: Duration) -> bool {
        match standing {
            // Whoever has none must wait for a person.
            TokenStanding::Absent => false,
            TokenStanding::NotRefused => self.next <= Instant::now(),
            TokenStanding::Refused(at) => {
                *self = Self { last: self.last, ..Self::new(self.least) };
                // A probe that nobody answered is one, too.
                self.last.map_or(at, |last| last.max(at)).elapsed() >= probe_every
            }
        }
    }

    fn probed(&mut self, probe_every: Duration) {
        self.last = Some(Instant::now());
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(probe_every);
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
        Err(JobError::Feed(error)) if error.recovery() == Recovery::SignIn => {
            tracing::warn!(error = chain(&error), "the token is still refused; the feed stays blocked");
        }
        Err(error @ (JobError::Cancelled | JobError::LeaseLost)) => return Err(error),
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "the token could not be tried; the feed stays blocked, and it is tried again soon"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_mins(15);

    fn ago(minutes: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_mins(minutes)).unwrap()
    }

    #[test]
    fn a_refused_token_is_asked_with_every_15_minutes_and_any_other_at_once() {
        let mut turn = Turn::new(WATCH_TOKEN);
        assert!(!turn.has_come(TokenStanding::Absent, EVERY), "nothing to ask with");
        assert!(!turn.has_come(TokenStanding::Refused(ago(14)), EVERY));
        assert!(turn.has_come(TokenStanding::Refused(ago(16)), EVERY));
        turn.probed(EVERY);
        assert!(!turn.has_come(TokenStanding::Refused(ago(0)), EVERY));
        assert!(
            !turn.has_come(TokenStanding::Refused(ago(16)), EVERY),
            "the probe just now was not answered"
        );
        assert!(turn.has_come(TokenStanding::NotRefused, EVERY), "a new token waits for the old one's turn");
    }

    #[test]
    fn a_probe_that_was_not_answered_is_repeated_soon_and_then_ever_more_seldom() {
        let mut turn = Turn::new(WATCH_TOKEN);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            turn.probed(EVERY);
            assert!(!turn.has_come(TokenStanding::NotRefused, EVERY));
            pauses.push((turn.next - Instant::now()).as_secs_f64().round());
        }
        assert_eq!(pauses[..3], [5.0, 10.0, 20.0]);
        assert_eq!(pauses.last(), Some(&900.0));
        assert!(!turn.has_come(TokenStanding::Refused(ago(1)), EVERY));
        assert!(turn.has_come(TokenStanding::NotRefused, EVERY), "another token inherits the pauses");
    }
}
