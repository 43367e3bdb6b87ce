//! Who gets the next slot: slots and waiters as plain data, time as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use spark_domain::job::Priority;
use tokio::time::Instant;

use super::{SLOT_LIFE, Slot};

/// How long before the last slot more are wanted: a round trip of the keeper to its database.
const LOOK_AHEAD: Duration = Duration::from_secs(1);

/// After so many slots for others, the next is Bulk's: one in six is a little more than 15 %.
const BULK_PATIENCE: u32 = 5;

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Ascending.
    slots: VecDeque<Instant>,
    /// Tickets in order of arrival, by priority.
    waiting: [VecDeque<u64>; 3],
    next_ticket: u64,
    /// Slots in a row that others got while Bulk waited.
    passed_over: u32,
    silent_until: Option<Instant>,
    /// The longest silence demanded since the keeper last heard of one.
    pub(super) throttled: Option<Duration>,
}

/// What a waiter is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Now(Slot),
    /// It is next, but not before that moment.
    At(Instant),
    /// Somebody else is next, or there is no slot.
    Later,
}

impl Queue {
    pub(super) fn join(&mut self, priority: Priority) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting[place(priority)].push_back(ticket);
        ticket
    }

    pub(super) fn leave(&mut self, priority: Priority, ticket: u64) {
        self.waiting[place(priority)].retain(|waiting| *waiting != ticket);
    }

    pub(super) fn grant(&mut self, first_at: Instant, spacing: Duration, count: u32) {
        self.slots.extend((0..count).map(|n| first_at + spacing * n));
        self.slots.make_contiguous().sort_unstable();
    }

    pub(super) fn silence_until(&mut self, moment: Instant) {
        self.silent_until = self.silent_until.max(Some(moment));
    }

    pub(super) fn take(&mut self, priority: Priority, ticket: u64, now: Instant) -> Turn {
        self.forget_the_past(now);
        if self.next() != Some((priority, ticket)) {
            return Turn::Later;
        }
        let Some(at) = self.slots.front().copied() else { return Turn::Later };
        let ready = self.silent_until.map_or(at, |silent| silent.max(at));
        if ready > now {
            return Turn::At(ready);
        }
        self.slots.pop_front();
        self.waiting[place(priority)].pop_front();
        let bulk_waits = !self.waiting[place(Priority::Bulk)].is_empty();
        self.passed_over = if priority != Priority::Bulk && bulk_waits { self.passed_over + 1 } else { 0 };
        Turn::Now(Slot::new(at))
    }

    /// How many wait for slots that are not there, or when to look again.
    pub(super) fn want(&mut self, now: Instant) -> Result<usize, Option<Instant>> {
        self.forget_the_past(now);
        let waiting: usize = self.waiting.iter().map(VecDeque::len).sum();
        if waiting == 0 {
            return Err(None);
        }
        // Slots granted into a silence would expire in it.
        if let Some(silent) = self.silent_until.filter(|silent| *silent > now + LOOK_AHEAD) {
            return Err(Some(silent - LOOK_AHEAD));
        }
        match self.slots.back() {
            None => Ok(waiting),
            Some(last) if self.slots.len() < waiting && *last <= now + LOOK_AHEAD => Ok(waiting),
            Some(last) if self.slots.len() < waiting => Err(Some(*last - LOOK_AHEAD)),
            // They are enough; but a silence may outlive them.
            Some(last) => Err(Some(*last + SLOT_LIFE + Duration::from_millis(1))),
        }
    }

    fn next(&self) -> Option<(Priority, u64)> {
        let front = |priority| self.waiting[place(priority)].front().map(|ticket| (priority, *ticket));
        let bulk = front(Priority::Bulk);
        if self.passed_over >= BULK_PATIENCE && bulk.is_some() {
            return bulk;
        }
        front(Priority::Update).or_else(|| front(Priority::Relations)).or(bulk)
    }

    fn forget_the_past(&mut self, now: Instant) {
        while self.slots.front().is_some_and(|at| *at + SLOT_LIFE < now) {
            self.slots.pop_front();
        }
        self.silent_until = self.silent_until.filter(|silent| *silent > now);
    }
}

fn place(priority: Priority) -> usize {
    match priority {
        Priority::Update => 0,
        Priority::Relations => 1,
        Priority::Bulk => 2,
    }
}
