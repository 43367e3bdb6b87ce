//! Keeps the lease alive, and stops everything the moment it is another's.

use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::context::FeedContext;
use crate::error::chain;

/// Beats until a stop. Losing the lease cuts the feed's tasks at once: they could not write any more, and what
/// they fetch would count against a budget that the new leader needs.
pub(crate) async fn beat(context: Arc<FeedContext>) {
    let pace = &context.settings.pace;
    let mut ticks = interval(pace.lease_beat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = Instant::now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = context.soft.cancelled() => break,
            () = context.hard.cancelled() => break,
        }
        match context.store.renew_lease(&context.lease, pace.lease_life).await {
            Ok(true) => answered = Instant::now(),
            Ok(false) => {
                tracing::warn!("another instance has taken the lease; this one stands by");
                context.soft.cancel();
                context.hard.cancel();
                return;
            }
            Err(error) => tracing::warn!(
                error = chain(&error),
                silent_seconds = answered.elapsed().as_secs(),
                "the lease could not be renewed; it stays ours unless another instance takes it"
            ),
        }
    }
    // On a gentle stop the page in hand is still to be written: the lease is kept until the tasks are done.
    while !context.hard.is_cancelled() && context.has_running() {
        let _ = context.store.renew_lease(&context.lease, pace.lease_life).await;
        tokio::select! {
            () = tokio::time::sleep(pace.lease_beat) => {}
            () = context.idle() => {}
            () = context.hard.cancelled() => {}
        }
    }
}
