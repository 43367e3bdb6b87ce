//! Where a job stands for one resource: durable, and committed together with the page that led there.

use crate::{Timestamp, Walk};

/// A job's durable position.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Up to here the job's last finished pass has seen everything that the feed showed: the *start* of that
    /// pass by the feed's clock. Moves only in the transaction that commits a pass's last page.
    pub cursor: Option<Timestamp>,
    /// The walk under way; a crash in it costs one page. None between passes.
    pub walk: Option<Walk>,
    /// Passes in a row that met "not in sync" (1023, 1024, 2005) and had to give up waiting.
    pub unsynced_passes: u32,
}
