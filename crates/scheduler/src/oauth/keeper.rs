//! Keeps one feed's pair: reads it, and has it refreshed by one at a time.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;
use spark_domain::FeedName;
use spark_fetcher::grant::{GrantError, Grants, LONGEST, Pair};
use spark_fetcher::{Issued, KeeperError, Keeping, TokenKeeper};
use spark_store::{Error as StoreError, Spent, Store, StoredToken};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::remedy;
use super::seal::{OpenPair, SealError, SealKey};
use crate::error::chain;

/// A claim outlives the two requests that it may take, and what keeping the pair takes on a good day.
const HOLD: Duration = LONGEST.saturating_mul(3);

/// How long somebody else's refresh is waited for within one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(250);

/// A token refused within its first minute (of a short life: its first tenth) was not refused for its age.
const YOUNG: TimeDelta = TimeDelta::minutes(1);

/// How long a generation rests after a refresh that brought no pair, by what it met.
const AFTER_UNSENT: Duration = Duration::from_secs(10);
const AFTER_UNKNOWN: Duration = Duration::from_mins(1);
const AFTER_REFUSAL: Duration = Duration::from_mins(5);

/// The keeper of one feed; what it does goes on if nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Keeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    feed: FeedName,
    store: Store,
    grants: Grants,
    key: SealKey,
    claimant: String,
    /// Tasks of this process queue here and not at the row.
    turn: Mutex<()>,
    tasks: TaskTracker,
}

impl Keeper {
    pub(super) fn new(
        feed: FeedName,
        store: Store,
        grants: Grants,
        key: SealKey,
        instance: &str,
        tasks: TaskTracker,
    ) -> Self {
        let (claimant, turn) = (instance.to_owned(), Mutex::default());
        Self(Arc::new(Inner { feed, store, grants, key, claimant, turn, tasks }))
    }
}

impl TokenKeeper for Keeper {
    fn read(&self) -> Keeping<'_, Issued> {
        Box::pin(async {
            let (stored, pair) = self.0.pair().await?;
            match stored.refused {
                Some(reason) if stored.expires_at <= stored.now => Err(KeeperError::SignedOut(reason)),
                _ => Ok(Issued { access: pair.access, generation: stored.generation }),
            }
        })
    }

    fn renew(&self, refused: i64) -> Keeping<'_, Option<Issued>> {
        let keeper = Arc::clone(&self.0);
        // Whoever asks may be dropped between the endpoint's answer and the row, and the pair with it.
        let renewing = self.0.tasks.spawn(async move { keeper.renew(refused).await });
        Box::pin(async {
            renewing.await.unwrap_or_else(|_| Err(away("the refresh was cut off".to_owned(), None)))
        })
    }

    fn budget_key(&self) -> [u8; 32] {
        self.0.grants.budget_key()
    }
}

impl Inner {
    async fn renew(&self, refused: i64) -> Result<Option<Issued>, KeeperError> {
        let _turn = self.turn.lock().await;
        let end = Instant::now() + PATIENCE;
        loop {
            let (stored, pair) = self.pair().await?;
            if stored.generation != refused {
                return Ok(Some(Issued { access: pair.access, generation: stored.generation }));
            }
            if let Some(reason) = stored.refused {
                return Err(KeeperError::SignedOut(reason));
            }
            if stored.now - stored.obtained_at < YOUNG.min((stored.expires_at - stored.obtained_at) / 10) {
                return Ok(None);
            }
            let claim = self.store.claim_oauth_refresh(&self.feed, refused, &self.claimant, HOLD).await;
            if let Some(spent) = claim.map_err(|error| self.no_store(&error))? {
                return self.refresh(refused, pair, spent).await.map(Some);
            }
            let rest = stored.free_at.and_then(|free_at| (free_at - stored.now).to_std().ok());
            if Instant::now() > end || !stored.claimed && rest.is_some() {
                let problem =
                    if stored.claimed { "another instance refreshes it" } else { "the last refresh failed" };
                return Err(away(problem.to_owned(), rest));
            }
            sleep(LOOK).await;
        }
    }

    /// Spends the refresh token, under a claim of ours.
    async fn refresh(&self, generation: i64, pair: OpenPair, spent: Spent) -> Result<Issued, KeeperError> {
        let Some(refresh) = pair.refresh else {
            let why = "the token endpoint gave no refresh token with its access token";
            return Err(self.refuse(generation, why).await);
        };
        let mut doubt = spent == Spent::Perhaps;
        let mut error = match self.grants.refresh(&refresh).await {
            Ok(next) => return self.keep(generation, next, refresh).await,
            Err(error) => error,
        };
        if !error.is_answered() {
            // Never blindly: somebody may have signed in meanwhile.
            let (stored, pair) = self.pair().await?;
            if stored.generation != generation {
                return Ok(Issued { access: pair.access, generation: stored.generation });
            }
            tracing::warn!(feed = %self.feed, error = chain(&error), "a refresh of the token was not answered; trying once more");
            doubt = true;
            error = match self.grants.refresh(&refresh).await {
                Ok(next) => return self.keep(generation, next, refresh).await,
                Err(error) => error,
            };
        }
        let (rest, spent) = match &error {
            GrantError::Void(said) if doubt => {
                let why = format!(
                    "an earlier refresh was sent and its answer never reached the database, so the pair was probably \
                     rotated and lost ({said})"
                );
                return Err(self.refuse(generation, &why).await);
            }
            GrantError::Void(said) => return Err(self.refuse(generation, said).await),
            GrantError::Throttled { after, .. } => (*after, Spent::No),
            GrantError::Unsent(_) => (AFTER_UNSENT, Spent::No),
            GrantError::Misconfigured(_) | GrantError::Refused(_) => (AFTER_REFUSAL, Spent::No),
            GrantError::Unknown { .. } => (AFTER_UNKNOWN, Spent::Perhaps),
        };
        // What an attempt before left in doubt stays so, whatever the second one was answered.
        let spent = if doubt { Spent::Perhaps } else { spent };
        let release = self.store.release_oauth_refresh(&self.feed, generation, &self.claimant, rest, spent);
        if let Err(error) = release.await {
            tracing::debug!(feed = %self.feed, error = chain(&error), "the claim was not given back; it will run out");
        }
        Err(match &error {
            GrantError::Misconfigured(_) => KeeperError::SignedOut(chain(&error)),
            _ => away(chain(&error), Some(rest)),
        })
    }

    /// Makes the new pair durable, however long that takes: it is all there is.
    async fn keep(&self, generation: i64, next: Pair, spent: SecretString) -> Result<Issued, KeeperError> {
        let pair = OpenPair { access: next.access, refresh: Some(next.refresh.unwrap_or(spent)) };
        let mut tries = 0_u32;
        loop {
            let kept = match self.key.seal(&self.feed, &pair) {
                Ok(sealed) => {
                    let rotate = self.store.rotate_oauth_token(&self.feed, generation, &sealed, next.life);
                    rotate.await.map_err(|error| chain(&error))
                }
                Err(error) => Err(error.to_string()),
            };
            match kept {
                Ok(Some(generation)) => {
                    tracing::info!(feed = %self.feed, generation, "the access token was refreshed");
                    return Ok(Issued { access: pair.access, generation });
                }
                // Somebody signed in anew: that pair counts.
                Ok(None) => {
                    let (stored, pair) = self.pair().await?;
                    return Ok(Issued { access: pair.access, generation: stored.generation });
                }
                Err(error) if tries.is_multiple_of(20) => tracing::error!(
                    feed = %self.feed,
                    error,
                    "a refreshed token cannot be kept yet; it would be lost with this process"
                ),
                Err(_) => {}
            }
            sleep(Duration::from_millis(100 << tries.min(5))).await;
            tries += 1;
        }
    }

    /// Nobody will try this generation again.
    async fn refuse(&self, generation: i64, why: &str) -> KeeperError {
        let reason = format!("feed {} is signed out: {why}; {}", self.feed, remedy(&self.feed));
        tracing::error!(feed = %self.feed, reason, "the access token cannot be refreshed any more");
        if let Err(error) = self.store.refuse_oauth_token(&self.feed, generation, &reason).await {
            tracing::warn!(feed = %self.feed, error = chain(&error), "that could not be written down");
        }
        KeeperError::SignedOut(reason)
    }

    async fn pair(&self) -> Result<(StoredToken, OpenPair), KeeperError> {
        let stored = self.store.oauth_token(&self.feed).await.map_err(|error| self.no_store(&error))?;
        let Some(stored) = stored else {
            let problem = format!("nobody has signed in to feed {}; {}", self.feed, remedy(&self.feed));
            return Err(KeeperError::SignedOut(problem));
        };
        match self.key.open(&self.feed, &stored.sealed) {
            Ok(pair) => Ok((stored, pair)),
            Err(error @ (SealError::OtherKey | SealError::Damaged)) => Err(KeeperError::SignedOut(format!(
                "feed {} is signed out: {error}, or {}",
                self.feed,
                remedy(&self.feed)
            ))),
            Err(error) => Err(KeeperError::SignedOut(format!("feed {} is signed out: {error}", self.feed))),
        }
    }

    fn no_store(&self, error: &StoreError) -> KeeperError {
        tracing::debug!(feed = %self.feed, error = chain(error), "the token cannot be read");
        let problem = match error {
            StoreError::Unreachable(_) | StoreError::Busy(_) => {
                "the database that keeps it does not answer".to_owned()
            }
            StoreError::Schema(_) => format!("{error}, then {}", remedy(&self.feed)),
            other => format!("the database that keeps it cannot be read: {other}"),
        };
        away(problem, None)
    }
}

fn away(problem: String, after: Option<Duration>) -> KeeperError {
    KeeperError::Away { problem, after }
}
