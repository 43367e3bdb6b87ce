//! Sends a question as often as it takes.
//!
//! Each attempt waits for a slot of the key's budget and for a share of the byte allowance, in this order and
//! again for every attempt: a feed that waits (for a silence, for the sync, for a retry) holds no memory that
//! other feeds need. A slot that runs out while its owner waits for memory is lost, not used late.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use reqwest::Client;
use spark_domain::job::Priority;
use spark_domain::{FeedName, Timestamp};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use crate::allowance::{Allowance, Share};
use crate::course::{Course, Verdict, Why};
use crate::envelope::Unread;
use crate::error::table::Class;
use crate::error::{self, Error, Exchange, Kind};
use crate::headers;
use crate::keeper::KeeperError;
use crate::pacer::Pacer;
use crate::quote::Forms;
use crate::send::{self, Failed, Measured};
use crate::settings::Settings;
use crate::token::Token;

/// Is told of every attempt, when it is over.
pub type Observer = Arc<dyn Fn(&Attempt<'_>) + Send + Sync>;

/// Why a request is sent again.
pub const RETRY_REASONS: [&str; 8] =
    ["http_429", "http_5xx", "timeout", "connect", "bad_body", "not_in_sync", "link_refused", "new_token"];

/// One request that was sent, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Whose feed.
    pub feed: &'a FeedName,
    /// An entity set's name, or `metadata`.
    pub endpoint: &'static str,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Spark's own code, if the answer carried one.
    pub code: Option<i64>,
    /// From sending the request to the last byte, or to the failure.
    pub took: Duration,
    /// Bytes of the body as they were sent, compressed.
    pub wire_bytes: u64,
    /// Why it will be tried again, one of [`RETRY_REASONS`]. Absent if it will not.
    pub retry_reason: Option<&'static str>,
    /// How long it waited for the budget, and for memory.
    pub waited: Duration,
    /// How many attempts of this feed are still on their way.
    pub in_flight: i64,
}

/// Whether less could be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// A smaller page, a shorter list.
    Divisible,
    /// Not at once: of a window its half, of a list of keys the others.
    Least,
    /// It is one thing.
    Whole,
}

/// A question as it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) url: Url,
    /// The link as the feed gave it, for the second try.
    pub(crate) verbatim: Option<Url>,
    pub(crate) endpoint: &'static str,
    pub(crate) accept: &'static str,
    pub(crate) kind: Kind,
    pub(crate) size: Size,
    pub(crate) priority: Priority,
}

/// An answer that was understood.
#[derive(Debug)]
pub(crate) struct Answered<T> {
    pub(crate) value: T,
    pub(crate) share: Share,
    /// No later than the moment at which the feed looked; whole seconds.
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) took: Duration,
    pub(crate) unsynced: bool,
}

/// All that one feed's questions share.
pub(crate) struct Line {
    pub(crate) settings: Settings,
    pub(crate) client: Client,
    /// None until one that is kept outside was first asked for.
    pub(crate) token: RwLock<Option<Arc<Token>>>,
    /// The print of the token that the feed refused last, and when.
    pub(crate) refused: Mutex<Option<([u8; 32], Instant)>>,
    /// The proxy's password.
    pub(crate) proxy_forms: Arc<Forms>,
    pub(crate) pacer: Pacer,
    pub(crate) allowance: Allowance,
    pub(crate) observer: Observer,
    pub(crate) in_flight: AtomicI64,
    /// Endpoints whose last answer was that the feed is not in sync.
    pub(crate) out_of_sync: Mutex<BTreeSet<&'static str>>,
}

/// Counts an attempt as on its way, also if its future is dropped.
struct Flying<'a>(&'a AtomicI64);

impl Line {
    /// Asks until there is an answer or an error. `understand` gets the body, or nothing if one record was
    /// asked for and there is none.
    pub(crate) async fn ask<T>(
        &self,
        ask: &Ask,
        understand: impl Fn(Option<Vec<u8>>) -> Result<T, Unread>,
    ) -> Result<Answered<T>, Error> {
        let mut course = Course::new(&self.settings.retry);
        let mut url = &ask.url;
        let mut first_sent = None;
        loop {
            let token = self.signed_in(ask.endpoint).await?;
            let (share, waited) = self.admit(ask.priority).await;
            let flying = Flying::begin(&self.in_flight);
            let mut measured = Measured::begin(token, waited);
            let first_sent = *first_sent.get_or_insert(measured.sent);
            let outcome = send::once(self, ask, url, share, &mut measured, &understand).await;
            let took = measured.sent.elapsed();
            drop(flying);
            let failed = match outcome {
                Ok((value, share, date)) => {
                    self.observe(ask, &measured, took, None, None);
                    self.out_of_sync().remove(ask.endpoint);
                    let as_of = date.and_then(|(date, read)| headers::before(date, read - first_sent));
                    return Ok(Answered { value, share, as_of, took, unsynced: course.unsynced() });
                }
                Err(failed) => failed,
            };
            let code = failed.exchange.code;
            if let Why::Refused(Class::Unauthorized | Class::Restricted) = failed.why {
                self.note_refused(&measured.token);
            }
            let verdict = match self.renewal(&mut course, &measured, &failed).await {
                Ok(Some(verdict)) => verdict,
                Ok(None) => self.verdict(&mut course, ask, &failed),
                Err(error) => {
                    self.observe(ask, &measured, took, code, None);
                    return Err(Error::no_token(failed.exchange, error));
                }
            };
            let Verdict::Again { reason, wait } = verdict else {
                self.observe(ask, &measured, took, code, None);
                return Err(give_up(&course, ask, failed));
            };
            self.observe(ask, &measured, took, code, Some(reason));
            tracing::warn!(
                feed = %self.settings.feed,
                endpoint = ask.endpoint,
                status = failed.exchange.status,
                code,
                request_id = failed.exchange.request_id.as_deref(),
                reason,
                error = failed.why.source().map(|error| error as &dyn std::error::Error),
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "the feed did not answer as it should; asking again"
            );
            if reason == "link_refused" {
                url = ask.verbatim.as_ref().unwrap_or(&ask.url);
            }
            sleep(wait).await;
        }
    }

    /// The endpoints that are not in sync; to be looked at and let go.
    pub(crate) fn out_of_sync(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.out_of_sync.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An exchange that has not begun.
    pub(crate) fn exchange(&self, endpoint: &'static str) -> Exchange {
        let feed = self.settings.feed.clone();
        Exchange {
            feed,
            endpoint,
            status: None,
            code: None,
            request_id: None,
            message: None,
            unsynced: false,
        }
    }

    async fn admit(&self, priority: Priority) -> (Share, Duration) {
        let began = Instant::now();
        loop {
            let slot = self.pacer.acquire(priority).await;
            let share = self.allowance.take(self.settings.page_bytes);
            if let Ok(share) = timeout_at(slot.expires(), share).await {
                return (share, began.elapsed());
            }
        }
    }

    /// A refused token may have another by now: then the same is asked once more with it.
    async fn renewal(
        &self,
        course: &mut Course<'_>,
        measured: &Measured,
        failed: &Failed,
    ) -> Result<Option<Verdict>, KeeperError> {
        let refused = matches!(failed.why, Why::Refused(Class::Unauthorized));
        let renewed =
            refused && course.may_renew_token() && self.renewed(&measured.token, &failed.exchange).await?;
        Ok(renewed.then_some(Verdict::Again { reason: "new_token", wait: Duration::ZERO }))
    }

    fn verdict(&self, course: &mut Course<'_>, ask: &Ask, failed: &Failed) -> Verdict {
        if let Why::Refused(Class::Throttled) = failed.why {
            self.pacer.throttle(course.silence(failed.hint));
        }
        if let Why::Refused(Class::NotInSync) = failed.why {
            self.out_of_sync().insert(ask.endpoint);
        }
        let luck = fastrand::f64();
        let can_shrink = ask.size == Size::Divisible;
        course.judge(&failed.why, ask.kind, can_shrink, failed.hint, Instant::now(), luck)
    }

    fn observe(
        &self,
        ask: &Ask,
        measured: &Measured,
        took: Duration,
        code: Option<i64>,
        retry_reason: Option<&'static str>,
    ) {
        (self.observer)(&Attempt {
            feed: &self.settings.feed,
            endpoint: ask.endpoint,
            status: measured.status,
            code,
            took,
            wire_bytes: measured.wire,
            retry_reason,
            waited: measured.waited,
            in_flight: self.in_flight.load(Ordering::Relaxed),
        });
    }
}

impl<'a> Flying<'a> {
    fn begin(count: &'a AtomicI64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The failure as the caller sees it.
fn give_up(course: &Course<'_>, ask: &Ask, failed: Failed) -> Error {
    let mut exchange = failed.exchange;
    exchange.unsynced = course.unsynced();
    match failed.why {
        Why::Refused(Class::Throttled) => Error::Throttled { exchange, after: course.silence(failed.hint) },
        Why::Refused(class) => error::refused(class, ask.kind, *exchange, failed.hint),
        Why::Redirected(origin) => Error::Redirected { exchange, origin },
        Why::Unread(problem) => Error::Malformed { exchange, problem },
        Why::TooBig(limit) => Error::TooBig { exchange, limit },
        Why::ForeignLink(origin) => Error::ForeignLink { exchange, origin },
        Why::Slow(source) if ask.size == Size::Whole => Error::TimedOut { exchange, source: source.into() },
        Why::Slow(source) => Error::TooSlow { exchange, source: source.into() },
        Why::Broken(source) => Error::Unreachable { exchange, source: source.into() },
    }
}
