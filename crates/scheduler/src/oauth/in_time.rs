//! Refreshes a token long before it ends: at half its life, by the holder of the feed's lease.

use std::sync::Arc;
use std::time::Duration;

use spark_fetcher::{KeeperError, TokenKeeper, TokenSource};

use crate::context::FeedContext;
use crate::error::{JobError, chain};

/// The row is read at least this often: somebody may sign in at any time.
const SELDOM: Duration = Duration::from_secs(30);

/// And not more often than this.
const OFTEN: Duration = Duration::from_millis(50);

/// Feeds that were signed in to at once need not refresh at once: up to this share of a life later than half.
const JITTER: f64 = 0.05;

/// Refreshes until a stop. What fails is tried again while the old token lives on; requests meet the rest.
pub(crate) async fn refresh_in_time(context: Arc<FeedContext>) {
    let TokenSource::Kept(keeper) = &context.settings.fetcher.token else { return };
    let share = 0.5 + JITTER * fastrand::f64();
    let mut said = None;
    loop {
        let wait = match look(&context, &**keeper, share).await {
            Ok(wait) => {
                said = None;
                wait
            }
            Err(problem) => {
                if said.as_ref() != Some(&problem) {
                    tracing::warn!(error = problem, "the access token could not be refreshed in time");
                }
                said = Some(problem);
                SELDOM
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait.clamp(OFTEN, SELDOM)) => {}
            () = context.soft.cancelled() => return,
            () = context.hard.cancelled() => return,
        }
    }
}

/// Refreshes if it is time; how long until the next look.
async fn look(context: &FeedContext, keeper: &dyn TokenKeeper, share: f64) -> Result<Duration, String> {
    let stored = crate::persist!(context, context.store.oauth_token(context.feed()));
    let stored = match stored {
        Ok(Some(stored)) if stored.refused.is_none() => stored,
        Ok(_) | Err(JobError::Cancelled | JobError::LeaseLost) => return Ok(SELDOM),
        Err(error) => return Err(chain(&error)),
    };
    let life = (stored.expires_at - stored.obtained_at).to_std().unwrap_or_default();
    let age = (stored.now - stored.obtained_at).to_std().unwrap_or_default();
    let left = life.mul_f64(share).saturating_sub(age);
    if !left.is_zero() {
        return Ok(left);
    }
    match keeper.renew(stored.generation).await {
        Ok(_) => context.fetcher.reload_token().await.map(|_| OFTEN).map_err(|error| error.to_string()),
        Err(KeeperError::Away { problem, .. } | KeeperError::SignedOut(problem)) => Err(problem),
    }
}
