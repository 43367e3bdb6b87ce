//! Which token a request goes out with: read from its source, or kept for us outside.

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use crate::attempt::Line;
use crate::error::{Error, Exchange};
use crate::keeper::{KeeperError, TokenKeeper};
use crate::settings::{SettingsError, TokenSource};
use crate::token::Token;

/// Codes of a 401 that no other token of the same client would mend: the key is disabled.
const BEYOND_RENEWAL: [i64; 1] = [1010];

/// Said of [`TokenSource::Nowhere`].
const NOBODY: &str = "the feed is signed in to by OAuth2, and nobody keeps its tokens here";

/// Why a token could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Its file.
    #[error(transparent)]
    Source(#[from] SettingsError),
    /// Its keeper.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
}

/// How a token stands with the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStanding {
    /// There is none to ask with.
    Absent,
    /// It was never refused: it works, or is yet to be tried.
    NotRefused,
    /// It was refused, the last time at this moment.
    Refused(Instant),
}

impl Line {
    /// The token for the next request. One that is kept outside is read when it is first needed.
    pub(crate) async fn signed_in(&self, endpoint: &'static str) -> Result<Arc<Token>, Error> {
        if let Some(token) = self.held() {
            return Ok(token);
        }
        let problem = match self.reload_token().await {
            Ok(_) => match self.held() {
                Some(token) => return Ok(token),
                None => KeeperError::SignedOut(NOBODY.to_owned()),
            },
            Err(ReloadError::Keeper(error)) => error,
            Err(ReloadError::Source(error)) => KeeperError::SignedOut(error.to_string()),
        };
        Err(Error::no_token(Box::new(self.exchange(endpoint)), problem))
    }

    /// Equal for all that share a key; not reversible.
    pub(crate) fn budget_key(&self) -> [u8; 32] {
        match &self.settings.token {
            TokenSource::Kept(keeper) => keeper.budget_key(),
            _ => self.held().map_or([0; 32], |token| token.print()),
        }
    }

    /// Reads the token from its source again; whether it is another one now.
    pub(crate) async fn reload_token(&self) -> Result<bool, ReloadError> {
        let fresh = match &self.settings.token {
            TokenSource::Kept(keeper) => Token::issued(&keeper.read().await?, self.settings.authorization)?,
            source => match Token::load(source, self.settings.authorization)? {
                Some(token) => token,
                None => return Ok(false),
            },
        };
        Ok(self.hold(fresh))
    }

    /// Whether there is another token than the refused one by now. A failure to get one is the request's.
    pub(crate) async fn renewed(&self, refused: &Token, said: &Exchange) -> Result<bool, KeeperError> {
        if self.held().is_some_and(|token| token.print() != refused.print()) {
            return Ok(true);
        }
        match &self.settings.token {
            TokenSource::Kept(keeper) => self.renewed_by(&**keeper, refused, said).await,
            _ => Ok(self.reload_token().await.unwrap_or_else(|error| {
                tracing::warn!(
                    feed = %self.settings.feed,
                    error = &error as &dyn std::error::Error,
                    "the token was refused and its file cannot be read again"
                );
                false
            })),
        }
    }

    async fn renewed_by(
        &self,
        keeper: &dyn TokenKeeper,
        refused: &Token,
        said: &Exchange,
    ) -> Result<bool, KeeperError> {
        if said.code.is_some_and(|code| BEYOND_RENEWAL.contains(&code)) {
            return Ok(false);
        }
        let Some(issued) = keeper.renew(refused.generation()).await? else { return Ok(false) };
        let fresh = Token::issued(&issued, self.settings.authorization)
            .map_err(|error| KeeperError::SignedOut(error.to_string()))?;
        Ok(self.hold(fresh))
    }

    /// The feed refused this token.
    pub(crate) fn note_refused(&self, token: &Token) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = Some((token.print(), Instant::now()));
    }

    pub(crate) fn token_standing(&self) -> TokenStanding {
        let Some(held) = self.held() else { return TokenStanding::Absent };
        match *self.refused.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((print, at)) if print == held.print() => TokenStanding::Refused(at),
            Some(_) | None => TokenStanding::NotRefused,
        }
    }

    fn held(&self) -> Option<Arc<Token>> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Holds a token from now on; whether it is another than the one before.
    fn hold(&self, fresh: Token) -> bool {
        let mut token = self.token.write().unwrap_or_else(PoisonError::into_inner);
        let differs = token.as_ref().is_none_or(|held| held.print() != fresh.print());
        *token = Some(Arc::new(fresh));
        differs
    }
}
