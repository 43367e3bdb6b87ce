//! The simulator's own time, which tests turn by hand.
//!
//! Every stamp, the `Date` header, the end of an open house and the stale cache follow this clock and nothing
//! else, so a test can let a night pass without waiting for it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Real time plus an offset, at an adjustable speed; clones share one clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Mutex<Hands>>);

#[derive(Debug)]
struct Hands {
    since: Instant,
    base: DateTime<Utc>,
    scale: f64,
}

impl Default for Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator is another machine, with a clock of its own"
    )]
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Hands { since: Instant::now(), base: Utc::now(), scale: 1.0 })))
    }
}

impl Clock {
    /// What time it is at the simulator.
    pub fn now(&self) -> DateTime<Utc> {
        self.read(|_| {})
    }

    /// The same for a `Date` header.
    pub(crate) fn http_date(&self) -> String {
        self.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.read(|hands| hands.base += TimeDelta::from_std(by).unwrap_or_default());
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, to: DateTime<Utc>) {
        self.read(|hands| hands.base = to);
    }

    /// Lets the clock run this many times faster than real time; 0 stops it.
    pub fn run_at(&self, scale: f64) {
        self.read(|hands| hands.scale = scale.max(0.0));
    }

    /// Whole seconds since 1970: Spark's stamps have no fractions.
    pub(crate) fn seconds(&self) -> i64 {
        self.now().timestamp()
    }

    /// Brings the hands up to now, turns them, and reads them.
    fn read(&self, turn: impl FnOnce(&mut Hands)) -> DateTime<Utc> {
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = hands.since.elapsed().mul_f64(hands.scale);
        hands.since = Instant::now();
        hands.base += TimeDelta::from_std(passed).unwrap_or_default();
        turn(&mut hands);
        hands.base
    }
}

/// `2026-03-01T12:00:00Z`, the one form of Spark's stamps.
pub(crate) fn stamp(seconds: i64) -> String {
    moment(seconds).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `2026-03-01`.
pub(crate) fn date(seconds: i64) -> String {
    moment(seconds).date_naive().to_string()
}

fn moment(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}
