//! Why a question was not answered, in terms of what can be done about it.
//!
//! What happened ([`table`], [`body`]) and what to do ([`Error::recovery`]) are kept apart: the first is
//! Spark's, the second ours. An [`Exchange`] says where it happened, and never holds the token or an address.

pub(crate) mod table;
pub(crate) mod body;
mod exchange;

use std::error::Error as Source;
use std::time::Duration;

use spark_domain::Recovery;

pub use exchange::Exchange;
use table::Class;

use crate::keeper::KeeperError;

/// Why a question was not answered. All were retried as often as makes sense before they got here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Over the rate limit: 429, Spark 1550. The pacer is silent for the time named.
    #[error("{exchange}; the key is throttled, and nobody who shares it asks for {} s", after.as_secs())]
    Throttled {
        /// Where.
        exchange: Box<Exchange>,
        /// How long the key is silent.
        after: Duration,
    },
    /// The token is not accepted: 401, Spark 1000, 1010, 1020. The token file was read again before.
    #[error("{0}; check the token, or ask FBS whether the key is still enabled")]
    Unauthorized(Box<Exchange>),
    /// There is no token to ask with, and none will come until a person signs in.
    #[error("{exchange}; {problem}")]
    SignedOut {
        /// Where.
        exchange: Box<Exchange>,
        /// Why, and what to do.
        problem: String,
    },
    /// There is no token to ask with now: who issues or keeps it does not answer.
    #[error("{exchange}; no access token is to be had: {problem}")]
    NoToken {
        /// Where.
        exchange: Box<Exchange>,
        /// Who does not answer.
        problem: String,
        /// When it makes sense to ask again.
        after: Option<Duration>,
    },
    /// The key may not do this: 403, Spark 1005, 1013, 1015, 1019, 1025, 1100.
    #[error("{0}; the key is restricted, ask FBS what it may do")]
    RestrictedKey(Box<Exchange>),
    /// The key belongs on another host: Spark 1021.
    #[error("{0}; set base_url to the replication host")]
    WrongHost(Box<Exchange>),
    /// Spark 1023, 1024, 2005, for as long as patience lasts.
    #[error("{0}; the feed has not caught up with its source")]
    NotInSync(Box<Exchange>),
    /// Less may work: Spark 1041, 1515, 1516, HTTP 413, 414, 431.
    #[error("{0}; too much was asked for at once")]
    TooMuch(Box<Exchange>),
    /// No answer in time; one to a smaller question may come.
    #[error("{exchange}; the answer did not come in time")]
    TooSlow {
        /// Where.
        exchange: Box<Exchange>,
        /// Which of the timeouts.
        source: Box<dyn Source + Send + Sync>,
    },
    /// The body is larger than a page may be; it was cut while it was read.
    #[error("{exchange}; the body is larger than {limit} bytes and was cut")]
    TooBig {
        /// Where.
        exchange: Box<Exchange>,
        /// The limit, in decompressed bytes.
        limit: usize,
    },
    /// 400, 404 or 410 behind a link, also when it was followed verbatim a second time.
    #[error("{0}; the link to the next page is not accepted any more")]
    ContinuationRefused(Box<Exchange>),
    /// The resource is not for this key: Spark 1500, or 400 or 404 on a first page. A question that is not understood
    /// (1040) has no better answer, and says so.
    #[error("{0}; {why}", why = not_offered(.0))]
    NotOffered(Box<Exchange>),
    /// An expansion is not for this key, or not now: Spark 1505.
    #[error("{0}; an expansion is switched off for this MLS")]
    ExpansionOff(Box<Exchange>),
    /// A record among those asked for breaks the answer: Spark 1026.
    #[error("{0}; one of the records asked for breaks the answer")]
    BadRecord(Box<Exchange>),
    /// A list of keys in this form is not understood; [`spark_domain::KeyListForm::next`] may be.
    #[error("{0}; the feed does not understand this form of a key list")]
    KeyListRefused(Box<Exchange>),
    /// Any other refusal.
    #[error("{0}; the feed refuses the request")]
    Refused(Box<Exchange>),
    /// The feed is out of order: 5xx, Spark 1510.
    #[error("{exchange}; the feed is temporarily out of order")]
    Unavailable {
        /// Where.
        exchange: Box<Exchange>,
        /// What its `Retry-After` said.
        after: Option<Duration>,
    },
    /// No answer: no connection, or it broke.
    #[error("{exchange}; the feed cannot be reached")]
    Unreachable {
        /// Where.
        exchange: Box<Exchange>,
        /// What broke.
        source: Box<dyn Source + Send + Sync>,
    },
    /// No answer in time, and asking for less would not help.
    #[error("{exchange}; the feed did not answer in time")]
    TimedOut {
        /// Where.
        exchange: Box<Exchange>,
        /// Which of the timeouts.
        source: Box<dyn Source + Send + Sync>,
    },
    /// An answer of success that cannot be read: HTML, nothing, cut short, without `value`.
    #[error("{exchange}; the answer cannot be read: {problem}")]
    Malformed {
        /// Where.
        exchange: Box<Exchange>,
        /// What is wrong with it.
        problem: String,
    },
    /// The link to the next page leads away from the feed. It was not followed.
    #[error("{exchange}; the link to the next page leads to {origin}, not to the feed, and is not followed")]
    ForeignLink {
        /// Where.
        exchange: Box<Exchange>,
        /// Scheme, host and port that it names.
        origin: String,
    },
    /// The feed answers elsewhere. The redirect was not followed, since the token would have gone along.
    #[error("{exchange}; it redirects to {origin}, which is not followed; correct base_url")]
    Redirected {
        /// Where.
        exchange: Box<Exchange>,
        /// Scheme, host and port that it names, if it names any.
        origin: String,
    },
    /// The question has no spelling; nothing was sent.
    #[error("{exchange}; the question cannot be asked: {problem}")]
    Misasked {
        /// Where.
        exchange: Box<Exchange>,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Error {
    /// The error of whoever keeps the token, met at this exchange.
    pub(crate) fn no_token(exchange: Box<Exchange>, error: KeeperError) -> Self {
        match error {
            KeeperError::SignedOut(problem) => Self::SignedOut { exchange, problem },
            KeeperError::Away { problem, after } => Self::NoToken { exchange, problem, after },
        }
    }

    /// What can be done about it.
    pub fn recovery(&self) -> Recovery {
        match self {
            Self::Throttled { after, .. } => Recovery::Retry { after: Some(*after) },
            Self::Unauthorized(_) | Self::RestrictedKey(_) | Self::SignedOut { .. } => Recovery::SignIn,
            Self::NotInSync(_) => Recovery::WaitForSync,
            Self::TooMuch(_) | Self::TooSlow { .. } | Self::TooBig { .. } | Self::BadRecord(_) => {
                Recovery::Shrink
            }
            Self::ContinuationRefused(_) => Recovery::StartOver,
            Self::NotOffered(_) | Self::ExpansionOff(_) => Recovery::TurnOff,
            Self::Unavailable { after, .. } | Self::NoToken { after, .. } => {
                Recovery::Retry { after: *after }
            }
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Malformed { .. } => {
                Recovery::Retry { after: None }
            }
            Self::WrongHost(_)
            | Self::KeyListRefused(_)
            | Self::Refused(_)
            | Self::ForeignLink { .. }
            | Self::Redirected { .. }
            | Self::Misasked { .. } => Recovery::GiveUp,
        }
    }

    /// The metric label `reason`: one of auth, `rate_limited`, upstream, network, timeout, decode.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unauthorized(_)
            | Self::RestrictedKey(_)
            | Self::WrongHost(_)
            | Self::SignedOut { .. }
            | Self::NoToken { .. } => "auth",
            Self::Throttled { .. } => "rate_limited",
            Self::NotInSync(_)
            | Self::TooMuch(_)
            | Self::ContinuationRefused(_)
            | Self::NotOffered(_)
            | Self::ExpansionOff(_)
            | Self::BadRecord(_)
            | Self::KeyListRefused(_)
            | Self::Refused(_)
            | Self::Unavailable { .. }
            | Self::Redirected { .. }
            | Self::Misasked { .. } => "upstream",
            Self::Unreachable { .. } => "network",
            Self::TooSlow { .. } | Self::TimedOut { .. } => "timeout",
            Self::TooBig { .. } | Self::Malformed { .. } | Self::ForeignLink { .. } => "decode",
        }
    }

    /// Where it happened, and what the feed said.
    pub fn exchange(&self) -> &Exchange {
        match self {
            Self::Unauthorized(exchange)
            | Self::RestrictedKey(exchange)
            | Self::WrongHost(exchange)
            | Self::NotInSync(exchange)
            | Self::TooMuch(exchange)
            | Self::ContinuationRefused(exchange)
            | Self::NotOffered(exchange)
            | Self::ExpansionOff(exchange)
            | Self::BadRecord(exchange)
            | Self::KeyListRefused(exchange)
            | Self::Refused(exchange)
            | Self::Throttled { exchange, .. }
            | Self::SignedOut { exchange, .. }
            | Self::NoToken { exchange, .. }
            | Self::TooSlow { exchange, .. }
            | Self::TooBig { exchange, .. }
            | Self::Unavailable { exchange, .. }
            | Self::Unreachable { exchange, .. }
            | Self::TimedOut { exchange, .. }
            | Self::Malformed { exchange, .. }
            | Self::ForeignLink { exchange, .. }
            | Self::Redirected { exchange, .. }
            | Self::Misasked { exchange, .. } => exchange,
        }
    }
}

/// What kind of question it was: the same refusal means different things to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first page of a list.
    First,
    /// What is behind a link.
    Link,
    /// A list of keys.
    Keys,
    /// One record by its key.
    Entity,
    /// Anything else.
    Plain,
}

/// The error for an answer of that class that will not be asked for again.
pub(crate) fn refused(class: Class, kind: Kind, exchange: Exchange, after: Option<Duration>) -> Error {
    let exchange = Box::new(exchange);
    match class {
        Class::Throttled => Error::Throttled { exchange, after: after.unwrap_or_default() },
        Class::Unauthorized => Error::Unauthorized(exchange),
        Class::Restricted => Error::RestrictedKey(exchange),
        Class::WrongHost => Error::WrongHost(exchange),
        Class::NotInSync => Error::NotInSync(exchange),
        Class::Passing => Error::Unavailable { exchange, after },
        Class::TooMuch => Error::TooMuch(exchange),
        Class::BadRecord => Error::BadRecord(exchange),
        Class::NotOffered => Error::NotOffered(exchange),
        Class::ExpansionOff => Error::ExpansionOff(exchange),
        Class::Redirected => Error::Redirected { exchange, origin: "an unknown place".to_owned() },
        Class::Refused => Error::Refused(exchange),
        Class::NotFound => match kind {
            Kind::Link => Error::ContinuationRefused(exchange),
            Kind::First | Kind::Keys => Error::NotOffered(exchange),
            Kind::Entity => Error::KeyListRefused(exchange),
            Kind::Plain => Error::Refused(exchange),
        },
        Class::BadQuestion => match kind {
            Kind::First if exchange.status == Some(400) => Error::NotOffered(exchange),
            Kind::Keys | Kind::Entity => Error::KeyListRefused(exchange),
            Kind::First | Kind::Link | Kind::Plain => Error::Refused(exchange),
        },
    }
}

/// What a person should think of a question that was not answered at all.
fn not_offered(exchange: &Exchange) -> &'static str {
    let class = table::classify(exchange.code, exchange.status.unwrap_or_default());
    match exchange.code {
        Some(_) if class == Class::BadQuestion => {
            "the feed does not understand the question; look at its filter"
        }
        None if class == Class::BadQuestion => {
            "the feed does not understand the question, or does not offer this to the key"
        }
        Some(_) | None => "the feed does not offer this to the key",
    }
}

/// What a refusal means behind a link. The link was the feed's own, so whatever it does not like about it
/// (Spark may say 1053 for a token out of its range) means that the link is gone.
pub(crate) fn behind_link(class: Class, status: u16) -> Class {
    match class {
        Class::NotFound | Class::BadQuestion | Class::Refused if matches!(status, 400 | 404 | 410) => {
            Class::NotFound
        }
        _ => class,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(status: u16, code: Option<i64>) -> Exchange {
        Exchange {
            feed: "beaches".parse().unwrap(),
            endpoint: "Property",
            status: Some(status),
            code,
            request_id: Some("r-1".to_owned()),
            message: Some("no".to_owned()),
            unsynced: false,
        }
    }

    fn error(kind: Kind, status: u16, code: Option<i64>) -> Error {
        let class = table::classify(code, status);
        let class = if kind == Kind::Link { behind_link(class, status) } else { class };
        refused(class, kind, exchange(status, code), None)
    }

    #[test]
    fn a_400_means_what_was_asked_for() {
        assert!(matches!(error(Kind::First, 400, None), Error::NotOffered(_)));
        assert!(matches!(error(Kind::Link, 400, None), Error::ContinuationRefused(_)));
        assert!(matches!(error(Kind::Link, 410, None), Error::ContinuationRefused(_)));
        assert!(matches!(error(Kind::Link, 400, Some(1053)), Error::ContinuationRefused(_)));
        assert!(matches!(error(Kind::Link, 405, None), Error::Refused(_)));
        assert!(matches!(error(Kind::Keys, 400, Some(1040)), Error::KeyListRefused(_)));
        assert!(matches!(error(Kind::Keys, 501, None), Error::KeyListRefused(_)));
        assert!(matches!(error(Kind::Plain, 404, None), Error::Refused(_)));
    }

    #[test]
    fn a_code_of_its_own_goes_before_the_kind_of_question() {
        assert!(matches!(error(Kind::Link, 400, Some(1041)), Error::TooMuch(_)));
        assert!(matches!(error(Kind::First, 400, Some(1053)), Error::Refused(_)));
        assert!(matches!(error(Kind::Link, 403, Some(1500)), Error::NotOffered(_)));
    }

    #[test]
    fn each_error_names_its_way_on() {
        let way = |status, code| error(Kind::First, status, code).recovery();
        assert_eq!(way(401, Some(1000)), Recovery::SignIn);
        assert_eq!(way(403, None), Recovery::SignIn);
        assert_eq!(way(403, Some(1021)), Recovery::GiveUp);
        assert_eq!(way(503, Some(1024)), Recovery::WaitForSync);
        assert_eq!(way(503, Some(1515)), Recovery::Shrink);
        assert_eq!(way(403, Some(1505)), Recovery::TurnOff);
        assert_eq!(way(503, None), Recovery::Retry { after: None });
        assert_eq!(error(Kind::Link, 404, None).recovery(), Recovery::StartOver);
    }

    #[test]
    fn a_question_that_is_not_understood_is_not_blamed_on_the_key() {
        for (status, code, told) in [
            (400, Some(1040), "does not understand the question; look at its filter"),
            (400, Some(2010), "does not understand the question; look at its filter"),
            (400, None, "does not understand the question, or does not offer this to the key"),
            (403, Some(1500), "; the feed does not offer this to the key"),
            (404, None, "; the feed does not offer this to the key"),
        ] {
            let error = error(Kind::First, status, code).to_string();
            assert!(error.ends_with(told), "{error}");
        }
    }

    #[test]
    fn a_message_tells_the_person_on_call_where_what_and_the_remedy() {
        let text = error(Kind::First, 403, Some(1021)).to_string();
        assert_eq!(
            text,
            "feed beaches, Property: HTTP 403, Spark code 1021 (a replication key must use \
             replication.sparkapi.com; correct base_url), request r-1, \"no\"; set base_url to the replication host"
        );
    }
}
