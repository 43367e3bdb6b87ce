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
use spark_store::Store;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::chain;
use crate::settings::FeedSettings;

/// Grants slots until told to stop.
pub(crate) async fn keep(
    settings: Arc<FeedSettings>,
    store: Store,
    fetcher: Fetcher,
    control: PacerControl,
    stop: CancellationToken,
) {
    let pace = &settings.pace;
    let spacing = budget::spacing(settings.requests_per_5_minutes, pace.budget_window, budget::SLOT_LIFE);
    loop {
        tokio::select! {
            waiting = control.wanted() => {
                grant(&store, &fetcher, &control, waiting, spacing).await;
            }
            silence = control.throttled() => {
                control.silence_until(Instant::now() + silence);
                if let Err(error) = store.silence_requests(&fetcher.budget_key(), silence).await {
                    tracing::warn!(error = chain(&error), "the silence of the key is known to this process only");
                }
            }
            () = stop.cancelled() => return,
        }
    }
}

async fn grant(store: &Store, fetcher: &Fetcher, control: &PacerControl, waiting: usize, spacing: Duration) {
    let count = budget::block(waiting, spacing, budget::SLOT_LIFE);
    let asked = Instant::now();
    match store.reserve_requests(&fetcher.budget_key(), count, spacing).await {
        Ok(block) => {
            // The slots' times are by Postgres' clock at some moment between question and answer: counted from
            // the answer none is early, and an answer that took long is not used.
            let answered = Instant::now();
            if answered - asked <= budget::LONGEST_ROUND_TRIP {
                let ahead = (block.first_at - block.now).to_std().unwrap_or(Duration::ZERO);
                control.grant(answered + ahead, spacing, count);
            }
        }
        Err(error) => {
            tracing::debug!(error = chain(&error), "no request can be reserved now; requests wait");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
