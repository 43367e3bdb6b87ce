//! Where a token that expires is kept: outside, because it must outlive the process, and this room knows no store.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use secrecy::SecretString;

/// A kept token, when it comes.
pub type Keeping<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeeperError>> + Send + 'a>>;

/// Keeps the access token of one feed and replaces it in time, once for all tasks and instances.
pub trait TokenKeeper: Debug + Send + Sync {
    /// The token as it is kept now.
    fn read(&self) -> Keeping<'_, Issued>;

    /// The feed refused this generation: the one that has replaced it, or a new one. `None` if no other would be
    /// better. A new one is kept before it is answered, also if nobody waits for the answer any more.
    fn renew(&self, refused: i64) -> Keeping<'_, Option<Issued>>;

    /// What the request budget is counted under: the same for every token of one client.
    fn budget_key(&self) -> [u8; 32];
}

/// An access token as it was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The token.
    pub access: SecretString,
    /// One more with every token that replaces another.
    pub generation: i64,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeeperError {
    /// There will be none until a person acts; the words say how.
    #[error("{0}")]
    SignedOut(String),
    /// There is none now.
    #[error("{problem}")]
    Away {
        /// Who does not answer, or what is waited for.
        problem: String,
        /// When it makes sense to ask again.
        after: Option<Duration>,
    },
}
