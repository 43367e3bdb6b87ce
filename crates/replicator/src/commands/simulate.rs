//! `simulate`: serves a simulated feed, or a recorded one, until stopped: for trying out, for the compose stack, and
//! for looking into what a real feed did.

use std::path::Path;

use anyhow::Context;
use spark_simulator::{MarketSettings, Recording, Replay, Settings, Shape, Simulator};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::load;
use crate::cli::{Global, Simulate};
use crate::exit::{Exit, refuse};
use crate::shutdown::Shutdown;
use crate::{systemd, telemetry};

pub(super) async fn run(global: &Global, arguments: &Simulate) -> anyhow::Result<Exit> {
    telemetry::start(&load(global)?.config.log, |_| {}).context("cannot start the log")?;
    let shutdown = Shutdown::listen().context("cannot listen for signals")?;
    if let Some(path) = &arguments.replay {
        let replay = replay(path, arguments).await?;
        serve("serving a recorded feed", &shutdown).await?;
        drop(replay);
    } else {
        let simulator = simulate(arguments).await?;
        serve("serving a simulated feed", &shutdown).await?;
        drop(simulator);
    }
    Ok(Exit::Done)
}

async fn simulate(arguments: &Simulate) -> anyhow::Result<Simulator> {
    let settings = Settings {
        listen: arguments.listen,
        token: arguments.token.clone(),
        seed: arguments.seed,
        listings: arguments.listings as usize,
        shape: Shape { listing_bytes: arguments.listing_bytes, ..Shape::default() },
        // Many clients write a space as a form does; whoever means a plus writes %2B to any server.
        form_encoded: true,
        market: Some(MarketSettings { moves_per_minute: arguments.moves_per_minute }),
        ..Settings::default()
    };
    let simulator = Simulator::start(settings).await;
    let simulator = simulator.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    info!(
        base_url = simulator.base_url(),
        spark_base_url = simulator.spark_base_url(),
        listings = arguments.listings,
        seed = arguments.seed,
        "a simulated feed is served"
    );
    Ok(simulator)
}

async fn replay(path: &Path, arguments: &Simulate) -> anyhow::Result<Replay> {
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || Recording::read(&file)).await;
    let recording = read.context("the reading of the recording was cut off")?;
    let recording = recording
        .map_err(|error| refuse(Exit::Configuration, format!("--replay: {:#}", anyhow::Error::new(error))))?;
    let unrecorded = |question: &str| warn!(question, "asked, but not in the recording: refused with 503");
    let replay = Replay::start(arguments.listen, recording, unrecorded).await;
    let replay = replay.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let extent = replay.extent();
    info!(
        base_url = replay.base_url(),
        api = replay.dialect().as_str(),
        feed = replay.feed(),
        exchanges = extent.exchanges,
        broken_lines = extent.broken_lines,
        first = extent.first,
        last = extent.last,
        "a recorded feed is served; any token will do"
    );
    Ok(replay)
}

/// Until a signal says that it is enough.
async fn serve(what: &str, shutdown: &Shutdown) -> anyhow::Result<()> {
    systemd::ready(what);
    let stop = CancellationToken::new();
    let watchdog = tokio::spawn(systemd::feed_watchdog(|| true, stop.clone()));
    shutdown.soft().cancelled().await;
    systemd::stopping();
    stop.cancel();
    watchdog.await.context("the watchdog's task ended early")
}
