//! Refreshes a token long before it ends: at half its life, by the holder of the feed's lease.

use std::sync::Arc;
use std::time::Duration;

use spark_domain::Timestamp;
use spark_fetcher::{KeeperError, TokenKeeper, TokenSource};

use crate::context::FeedContext;
use crate::error::{JobError, chain};

/// The row is read at least this often: somebody may sign in at any time.
const SELDOM: Duration = Duration::from_secs(30);

/// And not more often than this.
const OFTEN: Duration = Duration::from_millis(50);

/// Feeds that were signed in to at once need not refresh at once: up to this share of a life later than half.
const JITTER: f64 = 0.05;

/// How often a feed without a sign-in is looked at for the tokens of an earlier one.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// Refreshes until a stop. What fails is tried again while the old token lives on; requests meet the rest.
pub(crate) async fn refresh_in_time(context: Arc<FeedContext>) {
    let TokenSource::Kept(keeper) = &context.settings.fetcher.token else {
        return forget_earlier(&context).await;
    };
    let share = 0.5 + JITTER * fastrand::f64();
    let mut said = None;
    loop {
        let wait = match look(&context, &**keeper, share).await {
            Ok(wait) => {
                said = None;
                wait
            }
            Err(Late { problem, lasts_until }) => {
                if said.as_ref() != Some(&problem) {
                    let lasts_until = lasts_until.map(|at| at.to_rfc3339());
                    tracing::warn!(
                        error = problem,
                        lasts_until,
                        "the access token could not be refreshed in time"
                    );
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

/// A feed that is not signed in to (any more) leaves no refresh token at rest. One that still works is left alone:
/// whoever changes the configuration of one instance after the other may need it a moment later.
async fn forget_earlier(context: &FeedContext) {
    loop {
        match crate::persist!(context, context.store.forget_oauth_token(&context.lease)) {
            Ok(true) => tracing::warn!(
                "the tokens of an earlier sign-in are deleted: the feed is configured without [feeds.NAME.oauth]"
            ),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(error = chain(&error), "the tokens of an earlier sign-in stay for now");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(FORGET_EVERY) => {}
            () = context.soft.cancelled() => return,
            () = context.hard.cancelled() => return,
        }
    }
}

/// Why there is no new token, and when the old one ends, if that is known.
struct Late {
    problem: String,
    lasts_until: Option<Timestamp>,
}

/// Refreshes if it is time; how long until the next look.
async fn look(context: &FeedContext, keeper: &dyn TokenKeeper, share: f64) -> Result<Duration, Late> {
    let stored = crate::persist!(context, context.store.oauth_token(context.feed()));
    let stored = match stored {
        Ok(Some(stored)) => stored,
        Ok(None) | Err(JobError::Cancelled | JobError::LeaseLost) => return Ok(SELDOM),
        Err(error) => return Err(Late { problem: chain(&error), lasts_until: None }),
    };
    let late = |problem| Late { problem, lasts_until: Some(stored.expires_at) };
    // Whoever was refused said so; whoever starts later must say it too, while there is time to sign in.
    if let Some(refused) = stored.refused {
        return Err(late(refused));
    }
    let life = (stored.expires_at - stored.obtained_at).to_std().unwrap_or_default();
    let age = (stored.now - stored.obtained_at).to_std().unwrap_or_default();
    let left = life.mul_f64(share).saturating_sub(age);
    if !left.is_zero() {
        return Ok(left);
    }
    match keeper.renew(stored.generation).await {
        Ok(_) => context.fetcher.reload_token().await.map(|_| OFTEN).map_err(|error| late(error.to_string())),
        Err(KeeperError::Away { problem, .. } | KeeperError::SignedOut(problem)) => Err(late(problem)),
    }
}
