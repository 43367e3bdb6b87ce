//! Decides whether one question is asked again, and after which wait.
//!
//! Waits are drawn below a bound that doubles (full jitter), so that feeds which failed together do not come
//! back together. What the feed itself asks for (`Retry-After`) counts as a lower bound. A 429 needs no wait
//! here: the pacer is silent for everybody. "Not in sync" is no failure and has a patience of its own.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use crate::error::Kind;
use crate::error::table::Class;
use crate::settings::RetrySettings;

/// A feed that wants us to wait longer is not waited for within one question.
const LONGEST_HINT: Duration = Duration::from_mins(10);

/// A bad record or a slow page is not cured by patience, but by asking for less.
const TRIES_BEFORE_SHRINKING: u32 = 2;

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Why {
    /// An answer that is no success.
    Refused(Class),
    /// An answer elsewhere, at this origin.
    Redirected(String),
    /// An answer of success that cannot be read.
    Unread(String),
    /// A body beyond this limit.
    TooBig(usize),
    /// A link to this origin.
    ForeignLink(String),
    /// A timeout after the connection stood.
    Slow(reqwest::Error),
    /// No connection, or it broke.
    Broken(reqwest::Error),
}

/// What follows from a failed attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Ask again after the wait; the reason is the label of a metric.
    Again { reason: &'static str, wait: Duration },
    /// The failure is the answer.
    Stop,
}

/// The attempts of one question so far.
#[derive(Debug)]
pub(crate) struct Course<'a> {
    retry: &'a RetrySettings,
    bounds: ExponentialBackoff,
    failures: u32,
    unsynced_since: Option<Instant>,
    link_retried: bool,
    token_renewed: bool,
}

impl<'a> Course<'a> {
    pub(crate) fn new(retry: &'a RetrySettings) -> Self {
        let bounds = ExponentialBuilder::new()
            .with_factor(2.0)
            .with_min_delay(retry.base)
            .with_max_delay(retry.cap)
            .without_max_times()
            .build();
        Self { retry, bounds, failures: 0, unsynced_since: None, link_retried: false, token_renewed: false }
    }

    /// Whether the feed said that it is not in sync.
    pub(crate) fn unsynced(&self) -> bool {
        self.unsynced_since.is_some()
    }

    /// How long the whole key is silent after a 429.
    pub(crate) fn silence(&self, hint: Option<Duration>) -> Duration {
        hint.unwrap_or(self.retry.throttled_silence).max(self.retry.base)
    }

    /// True once: a refused token may have been replaced in its file.
    pub(crate) fn may_renew_token(&mut self) -> bool {
        !std::mem::replace(&mut self.token_renewed, true)
    }

    /// What follows from a failure. `hint` is the answer's `Retry-After`, `luck` between 0 and 1.
    pub(crate) fn judge(
        &mut self,
        why: &Why,
        kind: Kind,
        can_shrink: bool,
        hint: Option<Duration>,
        now: Instant,
        luck: f64,
    ) -> Verdict {
        let attempts = self.retry.attempts;
        let soon = if can_shrink { attempts.min(TRIES_BEFORE_SHRINKING) } else { attempts };
        match why {
            Why::Refused(Class::NotInSync) => self.wait_for_sync(hint, now),
            Why::Refused(Class::Throttled) if hint.is_none_or(|hint| hint <= LONGEST_HINT) => {
                self.failures += 1;
                if self.failures < attempts {
                    Verdict::Again { reason: "http_429", wait: Duration::ZERO }
                } else {
                    Verdict::Stop
                }
            }
            Why::Refused(Class::Passing) => self.again("http_5xx", attempts, hint, luck),
            Why::Refused(Class::BadRecord) => self.again("http_5xx", soon, hint, luck),
            Why::Refused(Class::NotFound | Class::BadQuestion)
                if kind == Kind::Link && !self.link_retried =>
            {
                self.link_retried = true;
                self.again("link_refused", u32::MAX, hint, luck)
            }
            Why::Unread(_) => self.again("bad_body", attempts, hint, luck),
            Why::Slow(_) => self.again("timeout", soon, hint, luck),
            Why::Broken(_) => self.again("connect", attempts, hint, luck),
            Why::Refused(_) | Why::Redirected(_) | Why::TooBig(_) | Why::ForeignLink(_) => Verdict::Stop,
        }
    }

    fn again(&mut self, reason: &'static str, limit: u32, hint: Option<Duration>, luck: f64) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= limit || hint.is_some_and(|hint| hint > LONGEST_HINT) {
            return Verdict::Stop;
        }
        let bound = self.bounds.next().unwrap_or(self.retry.cap).min(self.retry.cap);
        Verdict::Again { reason, wait: bound.mul_f64(luck.clamp(0.0, 1.0)).max(hint.unwrap_or_default()) }
    }

    fn wait_for_sync(&mut self, hint: Option<Duration>, now: Instant) -> Verdict {
        let since = *self.unsynced_since.get_or_insert(now);
        let wait = self.retry.sync_wait.max(hint.unwrap_or_default());
        if now + wait > since + self.retry.sync_patience {
            Verdict::Stop
        } else {
            Verdict::Again { reason: "not_in_sync", wait }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn judge(course: &mut Course<'_>, class: Class, hint: Option<Duration>, luck: f64) -> Verdict {
        course.judge(&Why::Refused(class), Kind::First, true, hint, Instant::now(), luck)
    }

    #[test]
    fn waits_double_up_to_the_cap_and_end_with_the_attempts() {
        let retry = RetrySettings { attempts: 9, ..RetrySettings::default() };
        let mut course = Course::new(&retry);
        let waits: Vec<u64> = std::iter::from_fn(|| match judge(&mut course, Class::Passing, None, 1.0) {
            Verdict::Again { reason: "http_5xx", wait } => Some(wait.as_secs()),
            _ => None,
        })
        .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_hint_is_a_lower_bound_and_one_too_long_ends_the_question() {
        let retry = RetrySettings::default();
        let mut course = Course::new(&retry);
        let wait = SECOND * 7;
        assert_eq!(
            judge(&mut course, Class::Passing, Some(wait), 1.0),
            Verdict::Again { reason: "http_5xx", wait }
        );
        assert_eq!(judge(&mut course, Class::Passing, Some(SECOND * 3600), 1.0), Verdict::Stop);
    }

    #[tokio::test(start_paused = true)]
    async fn not_in_sync_is_waited_for_slowly_until_patience_ends() {
        let retry = RetrySettings::default();
        let mut course = Course::new(&retry);
        let start = Instant::now();
        let mut asked = 1;
        while let Verdict::Again { reason: "not_in_sync", wait } =
            judge(&mut course, Class::NotInSync, None, 0.0)
        {
            tokio::time::advance(wait).await;
            asked += 1;
        }
        assert_eq!((asked, start.elapsed()), (11, SECOND * 600));
        assert!(course.unsynced());
    }

    #[test]
    fn a_page_that_is_too_much_is_not_asked_for_again() {
        let retry = RetrySettings::default();
        for class in
            [Class::TooMuch, Class::Restricted, Class::NotOffered, Class::Unauthorized, Class::NotFound]
        {
            assert_eq!(judge(&mut Course::new(&retry), class, None, 1.0), Verdict::Stop, "{class:?}");
        }
    }

    #[test]
    fn a_bad_record_is_asked_for_once_more_and_then_in_smaller_pages() {
        let retry = RetrySettings::default();
        let mut course = Course::new(&retry);
        assert!(matches!(judge(&mut course, Class::BadRecord, None, 1.0), Verdict::Again { .. }));
        assert_eq!(judge(&mut course, Class::BadRecord, None, 1.0), Verdict::Stop);
    }

    #[test]
    fn a_refused_link_is_tried_once_more() {
        let retry = RetrySettings::default();
        let mut course = Course::new(&retry);
        let mut refuse =
            || course.judge(&Why::Refused(Class::NotFound), Kind::Link, true, None, Instant::now(), 0.0);
        assert_eq!(refuse(), Verdict::Again { reason: "link_refused", wait: Duration::ZERO });
        assert_eq!(refuse(), Verdict::Stop);
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_bounds(luck in -1.0_f64..2.0, hint in 0_u64..600, tries in 1_u32..20) {
            let retry = RetrySettings { attempts: 30, ..RetrySettings::default() };
            let mut course = Course::new(&retry);
            for _ in 0..tries {
                let verdict = judge(&mut course, Class::Passing, Some(SECOND * u32::try_from(hint).unwrap_or(0)), luck);
                let Verdict::Again { wait, .. } = verdict else { return Err(TestCaseError::fail("it stopped")) };
                prop_assert!(wait.as_secs() >= hint && wait <= retry.cap.max(SECOND * 600));
            }
        }
    }
}
