//! Whether the scheduler's loop still turns, for the watchdog and `/healthz`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use spark_scheduler::Replicator;
use tokio::time::Instant;

/// A loop that should turn every second and did not for this long stands still.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is known of the loop. Before it starts and once it was told to stop, to answer at all is life enough.
#[derive(Default)]
pub(super) struct Pulse {
    replicator: OnceLock<Arc<Replicator>>,
    resting: AtomicBool,
    last: Mutex<Option<Beat>>,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    ticks: u64,
    at: Instant,
}

impl Pulse {
    /// From now on the loop must turn.
    pub(super) fn follow(&self, replicator: Arc<Replicator>) -> Arc<Replicator> {
        Arc::clone(self.replicator.get_or_init(|| replicator))
    }

    /// From now on it need not turn any more.
    pub(super) fn rest(&self) {
        self.resting.store(true, Ordering::Relaxed);
    }

    /// Whether it turned lately.
    pub(super) fn beats(&self) -> bool {
        match self.replicator.get() {
            Some(replicator) if !self.resting.load(Ordering::Relaxed) => self.look(replicator.ticks()),
            _ => true,
        }
    }

    fn look(&self, ticks: u64) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some(beat) if beat.ticks == ticks => beat.at.elapsed() < PATIENCE,
            _ => {
                *last = Some(Beat { ticks, at: Instant::now() });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_noticed_and_one_that_turns_again_forgiven() {
        let pulse = Pulse::default();
        assert!(pulse.look(1));
        tokio::time::advance(PATIENCE / 2).await;
        assert!(pulse.look(1));
        tokio::time::advance(PATIENCE).await;
        assert!(!pulse.look(1));
        assert!(pulse.look(2));
        // Nobody looked for long: the first look only learns, it does not condemn.
        tokio::time::advance(PATIENCE * 9).await;
        assert!(pulse.look(3));
    }

    #[test]
    fn before_the_start_to_answer_is_life_enough() {
        assert!(Pulse::default().beats());
    }
}
