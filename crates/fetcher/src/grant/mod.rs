//! The token endpoint: a code, or a refresh token, for a pair of tokens.
//!
//! It is another origin than the feed's, and each sees only what is its own: the client's secret goes here and
//! nowhere else, the access token never comes here. A refresh token is good once, so the one question about a
//! failure is whether it may have been spent: [`GrantError::is_answered`]. Nothing is asked again here.

mod answer;

use std::fmt;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

pub(crate) use self::answer::{Reading, read as read_answer};
use crate::body::{Cut, Unpacker};
use crate::headers;
use crate::quote::{Forms, quote};
use crate::settings::{Settings, SettingsError, Timeouts};
use crate::tls;

/// Separates this hash from any other made of the same words.
const BUDGET_CONTEXT: &str = "spark-replicator 2026-11 request budget of one OAuth2 client";

/// No answer is longer.
const LONGEST_ANSWER: usize = 64 * 1024;

/// How long one request may take. Whoever refreshes holds others up.
pub const LONGEST: Duration = Duration::from_secs(30);

/// The silence after a 429 that names no time.
const SILENCE: Duration = Duration::from_mins(5);

/// Who we are to the token endpoint, and where it is.
#[derive(Debug, Clone)]
pub struct OAuthClient {
    /// The key's name.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Where the browser is sent back to; as registered, to the letter.
    pub redirect_uri: String,
    /// The page where a person agrees.
    pub authorize_url: Url,
    /// The token endpoint.
    pub grant_url: Url,
}

/// What a grant brings.
#[derive(Debug, Clone)]
pub struct Pair {
    /// What requests are sent with.
    pub access: SecretString,
    /// What the next pair is had for; none if the old one stays good.
    pub refresh: Option<SecretString>,
    /// How long the access token lives.
    pub life: Duration,
}

/// Speaks to one token endpoint.
pub struct Grants {
    http: Client,
    client: OAuthClient,
    /// Our secret and the proxy's.
    forms: [Forms; 2],
}

/// Why there is no pair.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// `invalid_grant`: the code or the refresh token is not good (any more).
    #[error("{0}; the code or the refresh token is void")]
    Void(String),
    /// The endpoint does not know us, or not like this.
    #[error("{0}; check client_id, client_secret, redirect_uri and grant_url")]
    Misconfigured(String),
    /// Over the rate limit.
    #[error("{said}; it is not asked for {} s", after.as_secs())]
    Throttled {
        /// What it said.
        said: String,
        /// For how long it wants to be left alone.
        after: Duration,
    },
    /// Any other answer that is surely no grant.
    #[error("{0}; it refuses the request")]
    Refused(String),
    /// There was no connection, so nothing was sent.
    #[error("the token endpoint cannot be reached")]
    Unsent(#[source] reqwest::Error),
    /// What was sent may have been carried out.
    #[error("{problem}; whether it granted anything is unknown")]
    Unknown {
        /// What came instead of an answer.
        problem: String,
        /// What broke.
        source: Option<reqwest::Error>,
    },
}

impl GrantError {
    /// Whether the code or refresh token that was sent is surely unspent, or surely void.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }
}

impl Grants {
    /// For a feed's client. Certificates, proxy and patience with the network are the feed's.
    pub fn new(feed: &Settings, client: OAuthClient) -> Result<Self, SettingsError> {
        let timeouts = Timeouts {
            connect: feed.timeouts.connect.min(LONGEST / 2),
            read: feed.timeouts.read.min(LONGEST),
            total: feed.timeouts.total.min(LONGEST),
        };
        let there = Settings { base_url: client.grant_url.clone(), timeouts, ..feed.clone() };
        there.check().map_err(|error| match error {
            SettingsError::BaseUrl { url, problem } => SettingsError::GrantUrl { url, problem },
            other => other,
        })?;
        let proxy = feed.proxy.as_ref().map(Forms::of_password).unwrap_or_default();
        let forms = [Forms::of(client.client_secret.expose_secret()), proxy];
        Ok(Self { http: tls::client(&there)?, client, forms })
    }

    /// Where a person agrees. The endpoint sends `state` back with the code.
    pub fn authorization_address(&self, state: &str) -> Url {
        let mut address = self.client.authorize_url.clone();
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client.client_id)
            .append_pair("redirect_uri", &self.client.redirect_uri)
            .append_pair("state", state);
        address
    }

    /// What the request budget of this client is counted under, whatever token it has just now.
    pub fn budget_key(&self) -> [u8; 32] {
        let origin = self.client.grant_url.origin().ascii_serialization();
        blake3::derive_key(BUDGET_CONTEXT, format!("{origin}\n{}", self.client.client_id).as_bytes())
    }

    /// The first pair, for the code of a person who agreed.
    pub async fn exchange(&self, code: &SecretString) -> Result<Pair, GrantError> {
        self.ask("authorization_code", "code", code).await
    }

    /// The next pair, for the refresh token of the one before.
    pub async fn refresh(&self, refresh: &SecretString) -> Result<Pair, GrantError> {
        self.ask("refresh_token", "refresh_token", refresh).await
    }

    async fn ask(&self, kind: &str, name: &str, brought: &SecretString) -> Result<Pair, GrantError> {
        let body = json!({
            "client_id": self.client.client_id,
            "client_secret": self.client.client_secret.expose_secret(),
            "grant_type": kind,
            name: brought.expose_secret(),
            "redirect_uri": self.client.redirect_uri,
        });
        let request = self
            .http
            .post(self.client.grant_url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        let response = match request.send().await.map_err(reqwest::Error::without_url) {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(GrantError::Unsent(error)),
            Err(error) => return Err(unknown("the token endpoint did not answer", Some(error))),
        };
        let (status, hint) = (response.status().as_u16(), headers::retry_after(&response));
        let body = match read(response).await {
            Ok(body) => body,
            Err(_) if !(200..300).contains(&status) && status < 500 => Vec::new(),
            Err(Cut::Broken(error)) => {
                let error = error.without_url();
                return Err(unknown("the token endpoint's answer broke off", Some(error)));
            }
            Err(_) => return Err(unknown("the token endpoint's answer cannot be unpacked", None)),
        };
        let forms = Forms::of(brought.expose_secret());
        let quoted = |words: &str| quote(words, self.forms.iter().chain([&forms]));
        let said = |words: &str| {
            let words = quoted(words);
            let words = if words.is_empty() { String::new() } else { format!(", {words:?}") };
            format!("the token endpoint answers HTTP {status}{words}")
        };
        Err(match read_answer(status, &body) {
            Reading::Granted(pair) => return Ok(pair),
            Reading::Void(words) => GrantError::Void(said(&words)),
            Reading::Misconfigured(words) => GrantError::Misconfigured(said(&words)),
            Reading::Throttled(words) => {
                GrantError::Throttled { said: said(&words), after: hint.unwrap_or(SILENCE) }
            }
            Reading::Refused(words) => GrantError::Refused(said(&words)),
            Reading::Unclear(words) => unknown(&said(&words), None),
        })
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").field("client_id", &self.client.client_id).finish_non_exhaustive()
    }
}

fn unknown(problem: &str, source: Option<reqwest::Error>) -> GrantError {
    GrantError::Unknown { problem: problem.to_owned(), source }
}

async fn read(mut response: Response) -> Result<Vec<u8>, Cut> {
    let encoding = response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    let mut unpacker = Unpacker::new(encoding, LONGEST_ANSWER)?;
    while let Some(chunk) = response.chunk().await.map_err(Cut::Broken)? {
        unpacker.take(&chunk)?;
    }
    unpacker.end()
}
