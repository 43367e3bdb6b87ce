//! `simulate`: serves a simulated feed until stopped, for trying out and for the compose stack.

use anyhow::Context;
use spark_simulator::{MarketSettings, Settings, Shape, Simulator};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::load;
use crate::cli::{Global, Simulate};
use crate::exit::Exit;
use crate::shutdown::Shutdown;
use crate::{systemd, telemetry};

pub(super) async fn run(global: &Global, arguments: &Simulate) -> anyhow::Result<Exit> {
    telemetry::start(&load(global)?.config.log, |_| {}).context("cannot start the log")?;
    let shutdown = Shutdown::listen().context("cannot listen for signals")?;
    let settings = Settings {
        listen: arguments.listen,
        token: arguments.token.clone(),
        seed: arguments.seed,
        listings: arguments.listings as usize,
        shape: Shape { listing_bytes: arguments.listing_bytes, ..Shape::default() },
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
    systemd::ready("serving a simulated feed");
    let stop = CancellationToken::new();
    let watchdog = tokio::spawn(systemd::feed_watchdog(|| true, stop.clone()));
    shutdown.soft().cancelled().await;
    systemd::stopping();
    stop.cancel();
    drop(simulator);
    watchdog.await.context("the watchdog's task ended early")?;
    Ok(Exit::Done)
}
