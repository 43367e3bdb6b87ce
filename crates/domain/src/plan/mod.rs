//! The decisions, as pure functions: each answers with a value that a job carries out.
//!
//! Nothing here waits, asks or writes, so every rule can be held against arbitrary histories. What must never
//! happen is written as a property beside the rule.

pub mod schedule;
pub mod backoff;
pub mod budget;
pub mod page_size;
pub mod update;
pub mod change;
pub mod reread;
pub mod event;
pub mod media;
pub mod purge;
