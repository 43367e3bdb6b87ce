//! What a fetcher must know about its feed, checked before anything is sent.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use spark_domain::FeedName;
use url::{Host, Url};

use crate::dialect::Api;
use crate::keeper::TokenKeeper;
use crate::recording::Recorder;

/// The largest `$top` that replication keys may ask for (replication guide).
const MOST_PER_PAGE: u32 = 1000;

/// How to reach one feed.
#[derive(Clone)]
pub struct Settings {
    /// The feed's name, for errors and observers.
    pub feed: FeedName,
    /// Which dialect it speaks.
    pub api: Api,
    /// The service root, as in `https://replication.sparkapi.com/Version/3/Reso/OData`, or `.../v1`.
    pub base_url: Url,
    /// Where the access token comes from.
    pub token: TokenSource,
    /// Which scheme the token is sent with.
    pub authorization: Authorization,
    /// The feed's own filter in its dialect (OData, `SparkQL`), not percent-encoded; part of every question about records. Empty for none.
    pub filter: String,
    /// The largest `$top` ever asked for.
    pub page_size: u32,
    /// The size in bytes that a page should have. A body beyond eight times this is cut.
    pub page_bytes: usize,
    /// How long to wait for the feed.
    pub timeouts: Timeouts,
    /// How often and how slowly to ask again.
    pub retry: RetrySettings,
    /// A proxy for this feed; without it the environment decides.
    pub proxy: Option<Url>,
    /// A PEM file with certificates to trust beside the system's.
    pub extra_ca: Option<PathBuf>,
    /// Who keeps the feed's answers, if they are to be kept.
    pub recorder: Option<Recorder>,
}

/// Where an access token comes from.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// The file that holds it; read again when the feed refuses the token.
    File(PathBuf),
    /// The token itself.
    Text(SecretString),
    /// It expires, and somebody outside keeps it.
    Kept(Arc<dyn TokenKeeper>),
    /// It will be kept outside, by a keeper that is not there yet: no request can be sent.
    Nowhere,
}

/// The scheme of the `Authorization` header. Spark documents both, and some keys accept only the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authorization {
    /// `Bearer <token>`
    #[default]
    Bearer,
    /// `OAuth <token>`
    OAuth,
}

/// How long to wait for the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// Between two pieces of an answer.
    pub read: Duration,
    /// From sending the request to the answer's last byte.
    pub total: Duration,
}

/// How often and how slowly to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySettings {
    /// Attempts of one request, the first included.
    pub attempts: u32,
    /// The first wait's upper bound; each further one is twice as long, and the wait is drawn below it.
    pub base: Duration,
    /// The longest such bound.
    pub cap: Duration,
    /// The wait after "not in sync" (Spark 1023, 1024, 2005).
    pub sync_wait: Duration,
    /// How long to wait for the sync altogether.
    pub sync_patience: Duration,
    /// The whole key's silence after a 429 that names no time.
    pub throttled_silence: Duration,
}

/// Why a fetcher cannot be made. Each names the setting.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The address is no place to send a token to.
    #[error("base_url {url:?} {problem}")]
    BaseUrl {
        /// The address as configured, without user and password.
        url: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// The address is no place to send a client's secret to.
    #[error("grant_url {url:?} {problem}")]
    GrantUrl {
        /// The address as configured, without user and password.
        url: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// A number is out of its range.
    #[error("{setting} is {value}; it must be {range}")]
    OutOfRange {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// What is allowed.
        range: &'static str,
    },
    /// The token file cannot be read.
    #[error("token_file {} cannot be read; check that it exists and that this user may read it", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The token is empty or holds what no header may.
    #[error("the token in {place} {problem}")]
    Token {
        /// Where it came from.
        place: String,
        /// What is wrong with it; never the token.
        problem: &'static str,
    },
    /// The certificate file cannot be read.
    #[error("extra_ca {} cannot be read", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The certificate file holds no certificate.
    #[error("extra_ca {} holds no usable certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The proxy's address is not usable.
    #[error("proxy at {host} cannot be used; give it as http://host:port")]
    Proxy {
        /// Its host.
        host: String,
        /// The client's answer.
        source: reqwest::Error,
    },
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl Settings {
    /// The defaults for a feed.
    pub fn new(feed: FeedName, base_url: Url, token: TokenSource) -> Self {
        Self {
            feed,
            api: Api::default(),
            base_url,
            token,
            authorization: Authorization::default(),
            filter: String::new(),
            page_size: MOST_PER_PAGE,
            page_bytes: 8_000_000,
            timeouts: Timeouts::default(),
            retry: RetrySettings::default(),
            proxy: None,
            extra_ca: None,
            recorder: None,
        }
    }

    /// Whether the feed is on this machine, where plain HTTP is no risk.
    pub(crate) fn is_local(&self) -> bool {
        match self.base_url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let url = &self.base_url;
        let bad_url = |problem| SettingsError::BaseUrl { url: without_user(url), problem };
        match url.scheme() {
            "https" => {}
            "http" if self.is_local() => {}
            "http" => return Err(bad_url("would send the token in the clear; use https")),
            _ => return Err(bad_url("is no web address; begin it with https://")),
        }
        if url.host().is_none() {
            return Err(bad_url("names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad_url("must not carry a user or password; the token has its own setting"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad_url("must end with its path; a condition belongs into filter"));
        }
        let in_range = |setting, value: u64, range, fits: bool| {
            if fits { Ok(()) } else { Err(SettingsError::OutOfRange { setting, value, range }) }
        };
        let page_size = u64::from(self.page_size);
        let page_bytes = u64::try_from(self.page_bytes).unwrap_or(u64::MAX);
        let attempts = u64::from(self.retry.attempts);
        in_range("page_size", page_size, "1 to 1000", (1..=MOST_PER_PAGE).contains(&self.page_size))?;
        in_range("page_bytes", page_bytes, "at least 1 KB", page_bytes >= 1_000)?;
        in_range("attempts", attempts, "at least 1", attempts >= 1)
    }
}

/// An address for a message: whatever else is wrong with it, a password in it stays unsaid.
fn without_user(url: &Url) -> String {
    let mut plain = url.clone();
    // Both fail only for addresses that can have neither.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    plain.set_query(None);
    plain.to_string()
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("feed", &self.feed)
            .field("base_url", &without_user(&self.base_url))
            .field("token", &self.token)
            .field("filter", &self.filter)
            .field("page_size", &self.page_size)
            .field("page_bytes", &self.page_bytes)
            .finish_non_exhaustive()
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            total: Duration::from_mins(2),
        }
    }
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_secs(1),
            cap: Duration::from_mins(1),
            sync_wait: Duration::from_mins(1),
            sync_patience: Duration::from_mins(10),
            throttled_silence: Duration::from_mins(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base: &str) -> Settings {
        let token = TokenSource::Text("secret-token".into());
        Settings::new("beaches".parse().unwrap(), base.parse().unwrap(), token)
    }

    #[test]
    fn a_token_travels_encrypted_or_stays_on_the_machine() {
        for good in
            ["https://mls.example/OData", "http://127.0.0.1:1/x", "http://localhost/", "http://[::1]:2/"]
        {
            assert!(settings(good).check().is_ok(), "{good} was refused");
        }
        for bad in ["http://mls.example/", "http://10.0.0.1/", "ftp://localhost/", "https://mls.example/?a=1"]
        {
            assert!(settings(bad).check().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_message_about_an_address_never_shows_its_password() {
        let refused = settings("https://user:hunter2@mls.example/").check().unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        assert!(refused.to_string().contains("mls.example"));
    }

    #[test]
    fn settings_can_be_printed_without_the_token() {
        let shown = format!("{:?}", settings("https://mls.example/"));
        assert!(shown.contains("beaches") && !shown.contains("secret-token"), "{shown}");
    }
}
