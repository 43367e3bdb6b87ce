//! `[engine]`: what all feeds share.

use std::time::Duration;

use super::section::Section;
use super::units;

const KNOWN: &[&str] = &["page_allowance", "lease_beat", "lease_life", "lease_poll", "shutdown_grace"];

/// The engine's settings.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Most bytes of pages in memory at a time, for all feeds together.
    pub(crate) page_allowance: usize,
    /// How often a feed's lease is renewed.
    pub(crate) lease_beat: Duration,
    /// How long a lease lasts without renewal; a stand-by takes over after it.
    pub(crate) lease_life: Duration,
    /// How often a stand-by looks whether a lease is free.
    pub(crate) lease_poll: Duration,
    /// How long work under way may take to reach its next commit when we are asked to stop.
    pub(crate) shutdown_grace: Duration,
}

impl Engine {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let page_allowance = section.value("page_allowance", "48MB", units::size);
        let lease_beat = section.value("lease_beat", "2s", units::positive_duration);
        let lease_life = section.value("lease_life", "8s", units::positive_duration);
        let lease_poll = section.value("lease_poll", "500ms", units::positive_duration);
        let shutdown_grace = section.value("shutdown_grace", "30s", units::duration);
        if let (Some(beat), Some(life)) = (lease_beat, lease_life)
            && life < 3 * beat
        {
            let message =
                format!("it must be at least three beats of {beat:?}, or one lost beat loses the lease");
            section.find_last_of("lease_life", message);
        }
        section.finish(KNOWN);
        Some(Self {
            page_allowance: page_allowance?,
            lease_beat: lease_beat?,
            lease_life: lease_life?,
            lease_poll: lease_poll?,
            shutdown_grace: shutdown_grace?,
        })
    }
}
