//! Promises that can be broken on purpose, so that whoever proves them can be proved.
//!
//! Without the feature `breakages` nothing here can be switched on, and the compiler drops every branch that
//! asks. With it, at most one promise is broken, for the life of the process.

#[cfg(feature = "breakages")]
pub use switch::{UnknownBreakage, switch_on};

/// A promise that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// The cursor of an update moves with the first page of a pass; what a failure then cuts off is lost.
    CursorMovedEarly,
    /// A checkpoint commits before its page, in a transaction of its own.
    CheckpointApart,
    /// A copy with an older ModificationTimestamp replaces a newer one.
    OlderOverNewer,
    /// A sweep that is short of its count, or that did not come to its end, counts as complete.
    IncompleteSweep,
    /// Candidates of a purge are not asked for by their key.
    UnconfirmedPurge,
    /// Candidates of a purge may have been written, or seen by another job, since the sweep began.
    NoWriteMargin,
    /// A writing transaction does not check its lease.
    NoFence,
    /// A media answer stands for the stamp that was wanted, whatever stamp it shows, and is not read again.
    MediaUnseenStamp,
    /// A record is hashed as its bytes came.
    RawHash,
}

#[cfg(not(feature = "breakages"))]
impl Breakage {
    /// Whether this promise is broken: never.
    pub const fn is_on(self) -> bool {
        false
    }
}

#[cfg(feature = "breakages")]
mod switch {
    use std::str::FromStr;
    use std::sync::OnceLock;

    use super::Breakage;

    #[cfg(not(debug_assertions))]
    compile_error!("a breakage loses data, so no optimised build may contain one: leave `breakages` off");

    static BROKEN: OnceLock<Breakage> = OnceLock::new();

    /// Breaks a promise, for good. The first one stays.
    pub fn switch_on(breakage: Breakage) {
        BROKEN.get_or_init(|| breakage);
    }

    /// The text names no breakage.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    #[error("unknown breakage {text:?}; known are {}", Breakage::ALL.map(Breakage::as_str).join(", "))]
    pub struct UnknownBreakage {
        text: String,
    }

    impl Breakage {
        /// Every breakage.
        pub const ALL: [Self; 9] = [
            Self::CursorMovedEarly,
            Self::CheckpointApart,
            Self::OlderOverNewer,
            Self::IncompleteSweep,
            Self::UnconfirmedPurge,
            Self::NoWriteMargin,
            Self::NoFence,
            Self::MediaUnseenStamp,
            Self::RawHash,
        ];

        /// Its one word.
        pub const fn as_str(self) -> &'static str {
            match self {
                Self::CursorMovedEarly => "cursor_moved_early",
                Self::CheckpointApart => "checkpoint_apart",
                Self::OlderOverNewer => "older_over_newer",
                Self::IncompleteSweep => "incomplete_sweep",
                Self::UnconfirmedPurge => "unconfirmed_purge",
                Self::NoWriteMargin => "no_write_margin",
                Self::NoFence => "no_fence",
                Self::MediaUnseenStamp => "media_unseen_stamp",
                Self::RawHash => "raw_hash",
            }
        }

        /// Whether this promise is broken.
        pub fn is_on(self) -> bool {
            BROKEN.get() == Some(&self)
        }
    }

    impl FromStr for Breakage {
        type Err = UnknownBreakage;

        fn from_str(text: &str) -> Result<Self, UnknownBreakage> {
            let named = Self::ALL.into_iter().find(|breakage| breakage.as_str() == text);
            named.ok_or_else(|| UnknownBreakage { text: text.to_owned() })
        }
    }
}
