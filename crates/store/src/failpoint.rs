//! Failpoints: the process kills itself where a prover wants it dead.
//!
//! Every commit boundary has two: `<name>.before`, when nothing is durable yet, and `<name>.after`, when all is
//! and the caller does not know. SIGKILL it is, so that nothing runs that a power cut would not have run: no
//! destructor, no rollback, no flush.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use crate::boundary::Boundary;

#[cfg(not(debug_assertions))]
compile_error!(
    "a failpoint kills the program, so no optimised build may contain one: leave `failpoints` off"
);

/// The names of all commit boundaries; each has the points `.before` and `.after`.
pub const BOUNDARIES: &[&str] = Boundary::NAMES;

/// The point at which the process is to die, and how often it is passed until then.
#[derive(Debug)]
pub struct Failpoint {
    boundary: &'static str,
    side: Side,
    passes: AtomicU32,
}

/// On which side of the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// A failpoint that does not exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not of the form.
    #[error("{0:?} is not a failpoint: write <boundary>.before or <boundary>.after, and @N for the Nth pass")]
    Form(String),
    /// It is, but nothing commits under this name.
    #[error("{0:?} is no commit boundary; `spark-replicator failpoints` lists them")]
    Boundary(String),
}

static ARMED: OnceLock<Failpoint> = OnceLock::new();

/// Arms the one failpoint of this process. The first one stays.
pub fn arm(failpoint: Failpoint) {
    ARMED.get_or_init(|| failpoint);
}

/// Dies here if this is the point, and its turn.
pub(crate) fn pass(boundary: Boundary, side: Side) {
    let armed = ARMED.get().filter(|armed| armed.boundary == boundary.name() && armed.side == side);
    if let Some(armed) = armed
        && armed.passes.fetch_sub(1, Ordering::Relaxed) == 1
    {
        // Whoever listens to us may have gone; that does not save us.
        let _ = writeln!(std::io::stderr(), "failpoint {armed} reached");
        let _ = kill_process(getpid(), Signal::KILL);
        // The signal may take a moment, in which this thread must not go on.
        loop {
            std::thread::park();
        }
    }
}

impl FromStr for Failpoint {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let form = || Unreadable::Form(text.to_owned());
        let (point, pass) = text.split_once('@').unwrap_or((text, "1"));
        let (name, side) = point.rsplit_once('.').ok_or_else(form)?;
        let side = match side {
            "before" => Side::Before,
            "after" => Side::After,
            _ => return Err(form()),
        };
        let passes = pass.parse().ok().filter(|pass| *pass > 0).ok_or_else(form)?;
        let boundary = BOUNDARIES.iter().find(|boundary| **boundary == name);
        let boundary = boundary.ok_or_else(|| Unreadable::Boundary(name.to_owned()))?;
        Ok(Self { boundary, side, passes: AtomicU32::new(passes) })
    }
}

impl fmt::Display for Failpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{}.{side}", self.boundary)
    }
}
