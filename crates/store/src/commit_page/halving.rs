//! Finds the poison in a batch: what Postgres refuses as a whole is halved, down to the items at fault (P9).
//!
//! No IO here: the caller tries a range under a savepoint and says how it went.

use std::ops::Range;

use crate::error::{Cause, Error, PostgresSaid};

/// A batch on its way in, range by range.
#[derive(Debug)]
pub(crate) struct Halving {
    pending: Vec<Range<usize>>,
    /// The items that Postgres refuses on their own, and what it said.
    pub(crate) poison: Vec<(usize, PostgresSaid)>,
}

impl Halving {
    /// A batch whose items are first tried in these ranges.
    pub(crate) fn of(ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut pending: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        pending.reverse();
        Self { pending, poison: Vec::new() }
    }

    /// The range to try next.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.pending.pop()
    }

    /// The range failed. Only a refusal of the data is looked into; every other error is the caller's.
    pub(crate) fn failed(&mut self, range: Range<usize>, error: sqlx::Error) -> Result<(), Error> {
        match Error::from(error) {
            Error::Refused(Cause::Postgres(said)) if range.len() == 1 => {
                self.poison.push((range.start, said));
            }
            Error::Refused(Cause::Postgres(_)) => {
                let middle = range.start + range.len() / 2;
                self.pending.push(middle..range.end);
                self.pending.push(range.start..middle);
            }
            other => return Err(other),
        }
        Ok(())
    }
}
