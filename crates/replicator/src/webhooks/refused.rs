//! Says that deliveries are refused, and not how often somebody wants it said.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use spark_domain::FeedName;
use spark_scheduler::metrics::Delivered;
use tokio::time::Instant;

/// At most one line in this time; whoever can reach the port can be refused as often as they like.
const PAUSE: Duration = Duration::from_secs(10);

/// What was not said yet.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl Refused {
    /// Says why a delivery was refused, and how many were since the last line; nothing of what it brought. The name
    /// is that of a feed of ours: whatever else a path says is an outsider's text.
    pub(super) fn say(&self, feed: Option<&FeedName>, result: Delivered) {
        let Some(before) = self.turn() else { return };
        let (feed, result) = (feed.map_or("none of ours", FeedName::as_str), result.as_str());
        tracing::warn!(feed, result, refused_before = before, "a delivery was refused");
    }

    /// How many were refused in silence, if it is time for a line.
    fn turn(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.said_at.is_some_and(|at| at.elapsed() < PAUSE) {
            state.unsaid += 1;
            return None;
        }
        state.said_at = Some(Instant::now());
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_refusals_is_one_line_now_and_then_that_counts_them() {
        let refused = Refused::default();
        assert_eq!(refused.turn(), Some(0));
        assert_eq!([refused.turn(), refused.turn()], [None, None]);
        tokio::time::advance(PAUSE).await;
        assert_eq!(refused.turn(), Some(2));
        assert_eq!(refused.turn(), None);
    }
}
