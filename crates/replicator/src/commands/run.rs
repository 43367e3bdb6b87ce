//! `run`: the daemon.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use spark_fetcher::{Recorder, Values};
use spark_scheduler::FeedSettings;
use spark_simulator::postgres::ThrowAwayPostgres;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::load;
use crate::cli::{Global, Run};
use crate::config::{Error, Finding, Loaded, Severity, Target, check};
use crate::daemon::{self, Parts};
use crate::exit::{Exit, refuse};
use crate::shutdown::Shutdown;
use crate::webhooks::Receiver;
use crate::{assembly, clock, http, telemetry};

pub(super) async fn run(global: &Global, arguments: &Run) -> anyhow::Result<Exit> {
    let loaded = load(global)?;
    let metrics = assembly::metrics()?;
    let counting = Arc::clone(&metrics);
    telemetry::start(&loaded.config.log, move |level| counting.logged(level))
        .context("cannot start the log")?;
    warn_or_refuse(&loaded)?;
    let config = &loaded.config;
    let mut feeds = assembly::feeds(config)?;
    if let Some(folder) = &arguments.record {
        record(&mut feeds, folder, arguments.record_values)?;
    }
    let listener = listen(config.server.listen, "server.listen").await?;
    let inbox = match config.webhooks.listen {
        Some(address) => Some(listen(address, "webhooks.listen").await?),
        None => None,
    };
    let shutdown = Shutdown::listen().context("cannot listen for signals")?;
    let hangups = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    // Lives as long as the daemon does.
    let mut embedded = None;
    let settings = match config.database.target {
        Some(Target::Embedded) => {
            let server = embed().await?;
            let url = embedded.insert(server).url("postgres");
            spark_store::Settings { url, max_connections: config.database.max_connections }
        }
        _ => assembly::store(&config.database)?,
    };
    let store = assembly::observed_store(&settings, &metrics)?;
    let webhooks = inbox.map(|listener| {
        Ok::<_, anyhow::Error>((
            listener,
            Arc::new(Receiver::new(config, store.clone(), Arc::clone(&metrics))?),
        ))
    });
    let parts =
        Parts { feeds, store, metrics, listener, hangups: Some(hangups), webhooks: webhooks.transpose()? };
    daemon::run(config, parts, &shutdown).await
}

/// From now on whatever the feeds answer is kept.
fn record(feeds: &mut [FeedSettings], folder: &Path, values: bool) -> anyhow::Result<()> {
    let values = if values { Values::Kept } else { Values::Redacted };
    for feed in feeds {
        let recorder = Recorder::open(folder, feed.feed(), values).map_err(|error| {
            refuse(Exit::Configuration, format!("--record: {:#}", anyhow::Error::new(error)))
        })?;
        info!(feed = %feed.feed(), path = %recorder.path().display(), ?values, "the feed's answers are recorded");
        feed.fetcher.recorder = Some(recorder);
    }
    Ok(())
}

/// Listens. An address that another process has may be free soon; one that is not ours will not.
pub(super) async fn listen(
    address: std::net::SocketAddr,
    setting: &str,
) -> anyhow::Result<tokio::net::TcpListener> {
    http::bind(address).await.map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::AddrInUse => Exit::Temporary,
            _ => Exit::Configuration,
        };
        refuse(exit, format!("cannot listen on {address} ({setting}): {error}"))
    })
}

/// What `config check` would refuse is refused, what it would warn of is logged.
fn warn_or_refuse(loaded: &Loaded) -> Result<(), Error> {
    let (errors, warnings): (Vec<Finding>, Vec<Finding>) = check::findings(loaded, clock::now())
        .into_iter()
        .partition(|finding| finding.severity == Severity::Error);
    for warning in warnings {
        warn!("{warning}");
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(errors)) }
}

async fn embed() -> anyhow::Result<ThrowAwayPostgres> {
    let started = tokio::task::spawn_blocking(ThrowAwayPostgres::start).await;
    let server = started.context("the start of Postgres was cut off")?.context("database.embedded = true")?;
    warn!(
        folder = %server.folder().display(),
        "database.embedded = true: a Postgres for trials; its data ends with this process"
    );
    Ok(server)
}
