//! Feeds that are signed in to by OAuth2: their tokens expire, and their refresh tokens are good once.
//!
//! Here fetcher and store meet over a pair of tokens. The rules: one refresh per generation, whoever asks for it
//! and wherever; a new pair is durable before any request uses it; a refresh whose outcome is unknown is tried
//! once more and then rests; nothing of a pair is ever in plain text outside memory.

mod keeper;
mod in_time;
mod seal;

use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;
use spark_domain::{FeedName, Timestamp};
use spark_fetcher::grant::{GrantError, Grants, OAuthClient};
use spark_fetcher::{SettingsError, TokenSource};
use spark_store::Store;
use tokio_util::task::TaskTracker;
use url::Url;

pub(crate) use in_time::refresh_in_time;
pub use seal::{NoKey, SealKey};

use self::keeper::Keeper;
use self::seal::{OpenPair, SealError};
use crate::settings::FeedSettings;

/// Tries of keeping the first pair, which was had for a code that is good once.
const TRIES: u32 = 20;

/// How a feed is signed in to.
#[derive(Debug, Clone)]
pub struct OAuthSettings {
    /// Who we are to the token endpoint.
    pub client: OAuthClient,
    /// What the tokens are sealed with.
    pub key: SealKey,
}

/// Gives the feed a keeper of its tokens, if it needs one. A refresh under way is a task of `tasks`, to be waited
/// for before the process ends.
pub fn keep_tokens(
    mut settings: FeedSettings,
    store: &Store,
    instance: &str,
    tasks: &TaskTracker,
) -> Result<FeedSettings, SettingsError> {
    if let Some(oauth) = &settings.oauth {
        let grants = Grants::new(&settings.fetcher, oauth.client.clone())?;
        let keeper = Keeper::new(
            settings.feed().clone(),
            store.clone(),
            grants,
            oauth.key.clone(),
            instance,
            tasks.clone(),
        );
        settings.fetcher.token = TokenSource::Kept(Arc::new(keeper));
    }
    Ok(settings)
}

/// The first sign-in: a person agrees at an address and brings back a code.
#[derive(Debug)]
pub struct SignIn {
    feed: FeedName,
    store: Store,
    grants: Grants,
    key: SealKey,
    state: String,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The feed needs no sign-in.
    #[error("feed {0} has a token of its own and no [feeds.{0}.oauth]; there is nothing to sign in to")]
    NotNeeded(FeedName),
    /// The addresses, certificates or proxy are not usable.
    #[error("the token endpoint cannot be asked")]
    Settings(#[from] SettingsError),
    /// The endpoint granted nothing.
    #[error("the code brought no tokens")]
    Grant(#[from] GrantError),
    /// The pair could not be kept.
    #[error("the tokens could not be kept, and are lost; sign in once more")]
    Store(#[source] spark_store::Error),
    /// The system gives no random numbers.
    #[error("the tokens cannot be encrypted: the system gives no random numbers")]
    NoRandom,
}

impl SignIn {
    /// Begins a sign-in; nothing is sent yet.
    pub fn begin(settings: &FeedSettings, store: &Store) -> Result<Self, SignInError> {
        let feed = settings.feed().clone();
        let Some(oauth) = &settings.oauth else { return Err(SignInError::NotNeeded(feed)) };
        let grants = Grants::new(&settings.fetcher, oauth.client.clone())?;
        let mut random = [0; 16];
        SystemRandom::new().fill(&mut random).map_err(|_| SignInError::NoRandom)?;
        let state = format!("{:032x}", u128::from_be_bytes(random));
        Ok(Self { feed, store: store.clone(), grants, key: oauth.key.clone(), state })
    }

    /// Where the person agrees.
    pub fn address(&self) -> Url {
        self.grants.authorization_address(&self.state)
    }

    /// What comes back with the code of whoever was sent to that address.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Exchanges the code and keeps the pair; answers when its access token ends. A daemon that runs beside
    /// takes the pair up by itself.
    pub async fn finish(&self, code: &SecretString) -> Result<Timestamp, SignInError> {
        let pair = self.grants.exchange(code).await?;
        let open = OpenPair { access: pair.access, refresh: pair.refresh };
        let sealed = self.key.seal(&self.feed, &open).map_err(|_: SealError| SignInError::NoRandom)?;
        let mut tries = 0;
        loop {
            match self.store.sign_in(&self.feed, &sealed, pair.life).await {
                Ok(expires_at) => return Ok(expires_at),
                Err(error) if tries == TRIES => return Err(SignInError::Store(error)),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// What a person has to do who is signed out.
fn remedy(feed: &FeedName) -> String {
    format!("run `spark-replicator auth login {feed}`")
}
