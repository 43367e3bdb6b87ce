//! `demo`: a simulated market that moves, a throw-away Postgres and the daemon, in one process.
//!
//! The rule: it leaves nothing behind, however it ends: no process, no folder, no port.

mod postgres;
mod narrator;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use spark_simulator::{MarketSettings, Settings, Simulator};
use tokio::net::TcpListener;

use self::narrator::Narrator;
use super::{print, run::listen};
use crate::cli::{Demo, Global};
use crate::config::{self, Config};
use crate::daemon::{self, Parts};
use crate::exit::Exit;
use crate::shutdown::Shutdown;
use crate::{assembly, http, telemetry};

/// The status page's port unless somebody else has it.
const PORT: u16 = 9464;

/// What happens in the market: as many moves each way, so that it neither empties nor grows.
const MOVES_PER_MINUTE: f64 = 180.0;

/// How long the simulated feed may show what was true before a change.
const CACHE: Duration = Duration::from_secs(2);

/// What is logged unless somebody asks for more: the narrator tells what happens.
const FILTER: &str = "error,tokio_cron_scheduler=off";

pub(super) async fn run(global: &Global, arguments: &Demo) -> anyhow::Result<Exit> {
    let listener = port(arguments.port).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    let config = configuration(global, address, None)?;
    let metrics = assembly::metrics()?;
    let counting = Arc::clone(&metrics);
    telemetry::start(&config.log, move |level| counting.logged(level)).context("cannot start the log")?;
    let shutdown = Shutdown::listen().context("cannot listen for signals")?;
    print(&format!("The status page will be at http://{address}/ in a moment. Ctrl-C ends everything."));

    let Some(database) = postgres::start(&shutdown).await? else { return Ok(Exit::Done) };
    let simulator = Simulator::start(Settings {
        listings: arguments.listings as usize,
        cache_window: CACHE,
        market: Some(MarketSettings { moves_per_minute: MOVES_PER_MINUTE }),
        ..Settings::default()
    });
    let simulator = simulator.await.context("cannot simulate a feed")?;
    let config = configuration(global, address, Some(&simulator))?;
    let settings = spark_store::Settings {
        url: database.url("postgres"),
        max_connections: config.database.max_connections,
    };
    let store = assembly::observed_store(&settings, &metrics)?;
    print(&guide(address, &settings.url, &simulator));
    let narrator = tokio::spawn(Narrator::new(store.clone()).tell(shutdown.soft().clone()));
    if let Some(duration) = arguments.duration {
        let soft = shutdown.soft().clone();
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            soft.cancel();
        });
    }
    let feeds = assembly::feeds(&config)?;
    let ended = daemon::run(
        &config,
        Parts { feeds, store, metrics, listener, hangups: None, webhooks: None },
        &shutdown,
    )
    .await;
    narrator.abort();
    drop(simulator);
    let dropped = tokio::task::spawn_blocking(move || drop(database)).await;
    dropped.context("the end of Postgres was cut off")?;
    if ended.is_ok() {
        print("Gone: no process, no folder and no port is left.");
    }
    ended
}

/// The port that was asked for, or the usual one, or any.
async fn port(asked: Option<u16>) -> anyhow::Result<TcpListener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match asked {
        Some(port) => listen(at(port), "--port").await,
        None => match http::bind(at(PORT)).await {
            Ok(listener) => Ok(listener),
            Err(_) => listen(at(0), "--port").await,
        },
    }
}

/// The demo's own configuration: neither files nor variables change what it shows, only the flags for the log.
fn configuration(
    global: &Global,
    address: SocketAddr,
    simulator: Option<&Simulator>,
) -> anyhow::Result<Config> {
    let mut flags = vec![("log.filter", FILTER.to_owned()), ("log.format", "text".to_owned())];
    flags.push(("server.listen", address.to_string()));
    flags.extend(simulator.map(|simulator| ("feeds.demo.base_url", simulator.base_url())));
    flags.extend(global.settings());
    let text = include_str!("demo.toml");
    let loaded = config::read(Path::new("demo.toml"), text, std::iter::empty(), &flags)?;
    Ok(loaded.config)
}

fn guide(address: SocketAddr, database: &str, simulator: &Simulator) -> String {
    let count = simulator.world().count(spark_simulator::Resource::Property);
    format!(
        "\n  http://{address}/         the status page; watch it fill, then stay fresh\n  \
         http://{address}/metrics  what Prometheus sees\n  \
         psql \"{database}\"\n  \
         \x20   select standard_status, count(*), avg(list_price)::int from mls.property group by 1;\n  \
         \x20   select resource, rows, why from replicator.freshness;\n\n\
         A simulated market of {count} listings, {MOVES_PER_MINUTE} changes a minute, is being replicated:\n\
         first everything is downloaded, then updates come every 3 s and media follows what changed;\n\
         at each full minute all keys are compared, and what left the market is deleted.\n"
    )
}
