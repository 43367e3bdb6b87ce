//! Which records the purge deletes, and when it refuses.
//!
//! A record goes only when a *complete* list of the feed's keys lacks it *and* the record does not answer when
//! asked for by its key. A list cut short looks like a mass removal, so a plan can only be made from a
//! [`CompleteKeyList`], and only [`judge_sweep`] makes one. A plan above the [`Guard`] is refused and waits
//! for a person.

mod confirm;
mod guard;
mod sweep;
#[cfg(test)]
mod tests;

pub use confirm::{Confirmation, read_confirmation};
pub use guard::{Guard, Refusal};
pub use sweep::{CompleteKeyList, Standing, SweepEvidence, Void, judge_sweep};
