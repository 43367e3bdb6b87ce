//! Paces all requests that one key makes.
//!
//! Spark counts requests per key in any five minutes, over restarts and over all instances. The budget itself
//! is a row in the database that a keeper ([`PacerControl`]) advances in small blocks; what arrives here are
//! slots, each a moment from which on one attempt may be sent. A slot that nobody used within ten seconds is
//! gone: only so does the rate of the row bound every window of time.
//!
//! Rules: one attempt, one slot; a 429 silences everybody at once, before the keeper has even heard of it.

mod queue;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spark_domain::job::Priority;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use queue::{Queue, Turn};

/// How long a slot may be used after its time.
pub(crate) const SLOT_LIFE: Duration = Duration::from_secs(10);

/// Hands out the slots of one key; clones share them. Feeds that share a key share a pacer.
#[derive(Clone)]
pub struct Pacer(Arc<Shared>);

/// The keeper's side: brings slots, and hears what the key needs.
pub struct PacerControl(Arc<Shared>);

/// Leave to send one attempt, good until [`Slot::expires`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "a slot is one request of the key's budget"]
pub struct Slot {
    at: Instant,
}

struct Shared {
    queue: Mutex<Queue>,
    /// For those who wait for a slot.
    changed: Notify,
    /// For [`PacerControl::wanted`].
    keeper: Notify,
    /// For [`PacerControl::throttled`].
    met_429: Notify,
}

/// A place in the queue; left when dropped, so that a cancelled request blocks nobody.
struct Place<'a> {
    shared: &'a Shared,
    priority: Priority,
    ticket: u64,
}

impl Slot {
    pub(crate) const fn new(at: Instant) -> Self {
        Self { at }
    }

    /// The moment from which on it may be used.
    pub const fn at(self) -> Instant {
        self.at
    }

    /// The moment after which it must not be used: the window it was counted in is over.
    pub fn expires(self) -> Instant {
        self.at + SLOT_LIFE
    }
}

impl Pacer {
    /// A pacer without slots, and the control that grants them.
    pub fn new() -> (Self, PacerControl) {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            changed: Notify::new(),
            keeper: Notify::new(),
            met_429: Notify::new(),
        });
        (Self(Arc::clone(&shared)), PacerControl(shared))
    }

    /// Waits for a slot. Dropping the future gives the place in the queue back.
    pub async fn acquire(&self, priority: Priority) -> Slot {
        let shared = &*self.0;
        let place = Place { shared, priority, ticket: shared.queue().join(priority) };
        shared.everybody_looks();
        loop {
            // Listening starts before looking: what changes in between wakes us.
            let changed = shared.changed.notified();
            let turn = shared.queue().take(place.priority, place.ticket, Instant::now());
            match turn {
                Turn::Now(slot) => return slot,
                Turn::At(moment) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(moment) => {}
                },
                Turn::Later => changed.await,
            }
        }
    }

    /// The feed said 429: nobody who shares the key asks before that long.
    pub(crate) fn throttle(&self, silence: Duration) {
        let mut queue = self.0.queue();
        queue.silence_until(Instant::now() + silence);
        queue.throttled = queue.throttled.max(Some(silence));
        drop(queue);
        self.0.everybody_looks();
        self.0.met_429.notify_one();
    }
}

impl PacerControl {
    /// Resolves when somebody waits and no unexpired slot is left for all of them, or within a second will be;
    /// says how many wait. During a silence it resolves a second before its end.
    pub async fn wanted(&self) -> usize {
        loop {
            let changed = self.0.keeper.notified();
            let want = self.0.queue().want(Instant::now());
            match want {
                Ok(waiting) => return waiting,
                Err(Some(moment)) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(moment) => {}
                },
                Err(None) => changed.await,
            }
        }
    }

    /// Grants `count` slots, the first at `first_at`, the others `spacing` apart.
    pub fn grant(&self, first_at: Instant, spacing: Duration, count: u32) {
        self.0.queue().grant(first_at, spacing, count);
        self.0.everybody_looks();
    }

    /// Serves no slot before that moment. It never shortens a silence that already lasts.
    pub fn silence_until(&self, moment: Instant) {
        self.0.queue().silence_until(moment);
        self.0.everybody_looks();
    }

    /// Resolves when the feed said 429 (Spark 1550), with the silence that the whole key must keep from now on.
    pub async fn throttled(&self) -> Duration {
        loop {
            let met = self.0.met_429.notified();
            let silence = self.0.queue().throttled.take();
            if let Some(silence) = silence {
                return silence;
            }
            met.await;
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn everybody_looks(&self) {
        self.changed.notify_waiters();
        self.keeper.notify_one();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.queue().leave(self.priority, self.ticket);
        self.shared.everybody_looks();
    }
}

impl fmt::Debug for Pacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pacer").field(&*self.0.queue()).finish()
    }
}

impl fmt::Debug for PacerControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PacerControl").field(&*self.0.queue()).finish()
    }
}

#[cfg(test)]
mod tests;
