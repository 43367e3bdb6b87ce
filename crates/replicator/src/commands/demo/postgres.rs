//! The demo's Postgres: started, or explained, or installed on the spot.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::process::Command;

use anyhow::Context;
use spark_simulator::postgres::{INSTALL_LINE, PostgresError, ThrowAwayPostgres};

use crate::exit::{Exit, refuse};
use crate::shutdown::Shutdown;

/// Starts it; none if we were stopped meanwhile.
pub(super) async fn start(shutdown: &Shutdown) -> anyhow::Result<Option<ThrowAwayPostgres>> {
    // A stop waits for the second that the start takes: cut off half way, its folder would be left behind.
    let mut started = on_a_thread(ThrowAwayPostgres::start).await?;
    if matches!(started, Err(PostgresError::NotInstalled)) && may_install() {
        let Some(agreed) = shutdown.soft().run_until_cancelled(on_a_thread(agrees)).await else {
            return Ok(None);
        };
        if agreed? {
            on_a_thread(install).await??;
            started = on_a_thread(ThrowAwayPostgres::start).await?;
        }
    }
    // Ctrl-C reaches initdb too, whose failure then is no trouble.
    if shutdown.soft().is_cancelled() { Ok(None) } else { Ok(Some(started?)) }
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("the start of Postgres was cut off")
}

/// Only root can install, and only a person can agree to it.
fn may_install() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    root && stdin().is_terminal() && stderr().is_terminal()
}

fn agrees() -> bool {
    let mut out = stderr().lock();
    let question = format!("Postgres is not installed. Run \"{INSTALL_LINE}\" now? [y/N] ");
    if write!(out, "{question}").and_then(|()| out.flush()).is_err() {
        return false;
    }
    let mut answer = String::new();
    let read = stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn install() -> anyhow::Result<()> {
    let status = Command::new("/bin/sh").args(["-c", INSTALL_LINE]).status().context("cannot run /bin/sh")?;
    if status.success() {
        return Ok(());
    }
    Err(refuse(Exit::Unavailable, format!("\"{INSTALL_LINE}\" failed ({status}); what it said stands above")))
}
