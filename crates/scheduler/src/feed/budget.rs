//! Keeps a key's request limit: hands the fetcher slots that Postgres has reserved.
//!
//! One row per token holds the time of the next free request, whoever asks: feeds, instances and commands that
//! share a key share its row. Slots are evenly spaced, so that no window of five minutes holds more than the
//! limit, and what is reserved and not used expires. While Postgres is away nothing new is reserved: requests
//! wait, also retries.

use std::sync::Arc;
use std::time::Duration;

use spark_domain::plan::budget;
use spark_fetcher::{Fetcher, PacerControl};
use spark_store::{BudgetRival, Store};
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::FeedContext;
use crate::error::{JobError, chain};
use crate::metrics::Metrics;
use crate::settings::FeedSettings;

/// How often it is looked which key is used, and who else uses it.
const LOOK_AT_KEY: Duration = Duration::from_secs(10);

/// Tells the other feeds of the process at once which key is silent: the row alone would not call back the slots
/// that they hold already.
#[derive(Debug, Clone)]
pub(crate) struct Silences(broadcast::Sender<Silence>);

/// A key, and until when it is silent.
type Silence = ([u8; 32], Instant);

impl Silences {
    pub(crate) fn new() -> Self {
        // Whoever lags behind so many has the newest ones still before it.
        Self(broadcast::Sender::new(64))
    }
}

/// What grants a feed its slots.
pub(crate) struct Keeper {
    pub(crate) settings: Arc<FeedSettings>,
    pub(crate) store: Store,
    pub(crate) fetcher: Fetcher,
    pub(crate) control: PacerControl,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) silences: Silences,
}

impl Keeper {
    /// Grants slots until told to stop.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        let pace = &self.settings.pace;
        let spacing =
            budget::spacing(self.settings.requests_per_5_minutes, pace.budget_window, budget::SLOT_LIFE);
        let mut silences = self.silences.0.subscribe();
        // As it was granted last: a key that was slowed down needs fewer slots at once.
        let mut granted = spacing;
        loop {
            tokio::select! {
                waiting = self.control.wanted() => {
                    granted = self.grant(budget::block(waiting, granted, budget::SLOT_LIFE), spacing).await;
                }
                silence = self.control.throttled() => self.silence(silence).await,
                Ok((key, until)) = silences.recv() => {
                    if key == self.fetcher.budget_key() {
                        self.control.silence_until(until);
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    async fn grant(&self, count: u32, spacing: Duration) -> Duration {
        let asked = Instant::now();
        let (key, window) = (self.fetcher.budget_key(), self.settings.pace.budget_window);
        match self.store.reserve_requests(&key, count, spacing, window).await {
            Ok(block) => {
                self.metrics.rate_limit_share(self.settings.feed(), block.share);
                // The slots' times are by Postgres' clock at some moment between question and answer: counted from
                // the answer none is early, and an answer that took long is not used.
                let answered = Instant::now();
                if answered - asked <= budget::LONGEST_ROUND_TRIP {
                    let ahead = (block.first_at - block.now).to_std().unwrap_or(Duration::ZERO);
                    self.control.grant(answered + ahead, block.spacing, count);
                }
                block.spacing
            }
            Err(error) => {
                tracing::debug!(error = chain(&error), "no request can be reserved now; requests wait");
                tokio::time::sleep(Duration::from_millis(500)).await;
                spacing
            }
        }
    }

    /// The feed refused for too many requests: nobody who shares the key asks, and all are slower afterwards.
    async fn silence(&self, silence: Duration) {
        let (key, until) = (self.fetcher.budget_key(), Instant::now() + silence);
        // Ours hears it, too.
        let _ = self.silences.0.send((key, until));
        let settings = &self.settings;
        match self.store.silence_requests(&key, silence, settings.pace.budget_window).await {
            Ok(silenced) => {
                self.metrics.rate_limit_share(settings.feed(), silenced.share);
                let (spent, limit) = (silenced.spent, settings.requests_per_5_minutes);
                if budget::is_used_elsewhere(spent, limit) {
                    tracing::warn!(
                        feed = %settings.feed(), spent, limit, share = silenced.share,
                        "the feed says too many requests, and we have sent few: something else uses this key, \
                         another program or a replicator on another database"
                    );
                } else {
                    tracing::warn!(
                        feed = %settings.feed(), spent, limit, share = silenced.share,
                        "the feed says too many requests, though the limit was kept; we go on slower, \
                         and faster again by the hour"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the silence of the key is known to this process only");
            }
        }
    }
}

/// Says which key the feed uses.
pub(crate) async fn register(context: &FeedContext) -> Result<(), JobError> {
    let (key, limit) = (context.fetcher.budget_key(), context.settings.requests_per_5_minutes);
    crate::persist!(context, context.store.note_request_key(&context.lease, &key, limit))
}

/// Looks until a stop at the key, which changes with the token's file, and for who else uses it: whoever started
/// first must hear of the second, too.
pub(crate) async fn look_at_key(context: Arc<FeedContext>) {
    let (mut noted, mut known) = (None, Vec::new());
    while !context.is_stopping() {
        let key = context.fetcher.budget_key();
        if noted != Some(key) {
            match register(&context).await {
                Ok(()) => noted = Some(key),
                Err(error) => tracing::debug!(error = chain(&error), "the key could not be noted"),
            }
        }
        say_rivals(&context, &mut known).await;
        tokio::select! {
            () = tokio::time::sleep(LOOK_AT_KEY) => {}
            () = context.soft.cancelled() => return,
            () = context.hard.cancelled() => return,
        }
    }
}

/// Says who else uses the key, each once for as long as it stays so.
pub(crate) async fn say_rivals(context: &FeedContext, known: &mut Vec<BudgetRival>) {
    // What cannot be read now is looked for again.
    let Ok(state) = context.store.budget_state(context.feed()).await else { return };
    let rivals = state.map(|state| state.rivals).unwrap_or_default();
    let our_limit = context.settings.requests_per_5_minutes;
    for BudgetRival { feed, holder, limit, .. } in rivals.iter().filter(|rival| !known.contains(rival)) {
        if *limit == our_limit {
            tracing::info!(
                other = %feed,
                holder,
                "a feed of another process uses the same key; the two share its requests"
            );
        } else {
            tracing::warn!(
                other = %feed, holder, its_limit = limit, our_limit,
                "another feed uses the same key with another requests_per_5_minutes; give all feeds of a key the same"
            );
        }
    }
    *known = rivals;
}
