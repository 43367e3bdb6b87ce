//! Two signals: the first lets work reach its next commit, the second ends the process.
//!
//! Whatever is cut off by the second is safe by its checkpoint, as after `kill -9`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::exit::Exit;

/// What signals have said so far.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    exit: Arc<AtomicU8>,
}

impl Shutdown {
    /// Listens for SIGTERM and SIGINT from now on. Fails if the system refuses.
    pub(crate) fn listen() -> io::Result<Self> {
        let shutdown = Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            exit: Arc::new(AtomicU8::new(0)),
        };
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let ours = shutdown.clone();
        tokio::spawn(async move {
            while !ours.hard.is_cancelled() {
                let (name, exit) = tokio::select! {
                    _ = terminate.recv() => ("SIGTERM", Exit::Terminated),
                    _ = interrupt.recv() => ("SIGINT", Exit::Interrupted),
                };
                ours.exit.store(exit.code(), Ordering::Relaxed);
                if ours.soft.is_cancelled() {
                    warn!(signal = name, "stopping at once");
                    ours.hard.cancel();
                } else {
                    info!(signal = name, "stopping after the pages under way; a second signal stops at once");
                    ours.soft.cancel();
                }
            }
        });
        Ok(shutdown)
    }

    /// The token of the first signal.
    pub(crate) fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// The token of the second signal.
    pub(crate) fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// How the latest signal ends the process.
    pub(crate) fn exit(&self) -> Exit {
        if self.exit.load(Ordering::Relaxed) == Exit::Interrupted.code() {
            Exit::Interrupted
        } else {
            Exit::Terminated
        }
    }
}
