//! An event: the feed says that a record changed, came or went, and not how.

use crate::{RecordKey, Resource};

/// What a delivery says of one record (RESO EntityEvent).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityEvent {
    /// Of which resource.
    pub resource: Resource,
    /// Which record.
    pub key: RecordKey,
    /// Its number: it grows from event to event, with gaps. None if the sender gave none that can be read.
    pub sequence: Option<i64>,
}
