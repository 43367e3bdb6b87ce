//! What can be done about a failure. Every room's error answers this question; only the answer is acted on.

use std::time::Duration;

/// The way on after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Passing trouble: the same request may work after a while (at least this long, if the other side said so).
    Retry {
        /// The wait that the other side asked for.
        after: Option<Duration>,
    },
    /// The source says it is not in sync (Spark 1023, 1024, 2005): wait for minutes, purge nothing, hold the cursor.
    WaitForSync,
    /// The token was refused: nothing but a new or re-enabled token helps.
    SignIn,
    /// Too much was asked for at once: a smaller page or a shorter key list may work.
    Shrink,
    /// A paging link or token is not accepted (any more): start the walk over.
    StartOver,
    /// This resource (or expansion) is not for this key: turn it off, go on with the rest.
    TurnOff,
    /// Asking again changes nothing: a person must look.
    GiveUp,
}
