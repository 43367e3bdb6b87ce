//! The daemon: listener first, then the schema, then the feeds; and at the end all of it in reverse.
//!
//! The listener and READY do not wait for the database, which may be away for hours; only the feeds wait for
//! their tables. The rule for the end: the first signal lets pages under way commit, the second or the end of
//! the grace period drops everything, which checkpoints make safe, and `/metrics` stays up until last.

mod pulse;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use spark_domain::Recovery;
use spark_scheduler::{FeedSettings, Metrics, Replicator};
use spark_store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::pulse::Pulse;
use crate::config::Config;
use crate::exit::Exit;
use crate::http::{self, Latest, Sources};
use crate::shutdown::Shutdown;
use crate::webhooks::{self, Receiver};
use crate::{assembly, systemd};

/// How often the schema is asked for while it is not there.
const RETRY: Duration = Duration::from_secs(1);

/// How often it is said that the database is waited for.
const REMIND: Duration = Duration::from_mins(1);

/// How often systemd is told how we are.
const STATUS: Duration = Duration::from_secs(5);

/// How long what was dropped may take to notice.
const LAST: Duration = Duration::from_secs(3);

/// What to do where the schema is not ours and this role may not alter it.
pub(crate) const WHO_MIGRATES: &str = "this role may not migrate: run `spark-replicator migrate` with the tables' owner in \
    database.url (spark_replicator_owner, where deploy/roles.sql made the roles)";

/// What a daemon is made of.
pub(crate) struct Parts {
    pub(crate) feeds: Vec<FeedSettings>,
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) listener: TcpListener,
    /// At each of these (SIGHUP) tokens are read again.
    pub(crate) hangups: Option<Signal>,
    /// Where feeds deliver events, if they do.
    pub(crate) webhooks: Option<(TcpListener, Arc<Receiver>)>,
}

/// Replicates until told to stop. Fails only for what no waiting would mend.
pub(crate) async fn run(config: &Config, parts: Parts, shutdown: &Shutdown) -> anyhow::Result<Exit> {
    let Parts { feeds, store, metrics, listener, hangups, webhooks } = parts;
    let (pulse, end) = (Arc::new(Pulse::default()), CancellationToken::new());
    let latest = Arc::new(Latest::new(store.clone(), assembly::objectives(config)));
    let sources = Sources {
        latest: Arc::clone(&latest),
        metrics: {
            let metrics = Arc::clone(&metrics);
            Arc::new(move || metrics.render().unwrap_or_else(|error| format!("# {error}\n")))
        },
        alive: {
            let pulse = Arc::clone(&pulse);
            Arc::new(move || pulse.beats())
        },
    };
    let address = listener.local_addr().context("the listener has no address")?;
    let server = tokio::spawn(http::serve(listener, sources, end.clone()));
    let mut inbox = None;
    if let Some((listener, receiver)) = webhooks {
        let address = listener.local_addr().context("the listener of webhooks has no address")?;
        info!(%address, "deliveries of events are taken");
        inbox = Some(tokio::spawn(webhooks::serve(listener, receiver, end.clone())));
    }
    let watchdog = {
        let pulse = Arc::clone(&pulse);
        tokio::spawn(systemd::feed_watchdog(move || pulse.beats(), end.clone()))
    };
    let teller = tokio::spawn(tell(latest, shutdown.soft().clone()));
    let names: Vec<String> = feeds.iter().map(|feed| feed.feed().to_string()).collect();
    info!(%address, feeds = names.join(", "), version = env!("CARGO_PKG_VERSION"), "started");
    systemd::ready("waiting for the database");

    let ended = replicate(config, feeds, (&store, &metrics), &pulse, hangups, shutdown).await;
    if shutdown.hard().is_cancelled() {
        return ended;
    }
    if timeout(LAST, store.close()).await.is_err() {
        warn!("connections to the database were left open: it does not answer");
    }
    info!("stopped");
    end.cancel();
    teller.abort();
    watchdog.await.context("the watchdog's task ended early")?;
    server.await.context("the HTTP server's task ended early")?.context("the HTTP server failed")?;
    if let Some(inbox) = inbox {
        inbox.await.context("the task of webhooks ended early")?.context("the server of webhooks failed")?;
    }
    ended
}

/// From the schema to the last page.
async fn replicate(
    config: &Config,
    feeds: Vec<FeedSettings>,
    (store, metrics): (&Store, &Arc<Metrics>),
    pulse: &Pulse,
    mut hangups: Option<Signal>,
    shutdown: &Shutdown,
) -> anyhow::Result<Exit> {
    let ready = tokio::select! {
        ready = prepare_schema(store) => ready.context("cannot prepare the database's schema").map(|()| true),
        () = shutdown.soft().cancelled() => Ok(false),
    };
    if !ready? {
        systemd::stopping();
        return Ok(Exit::Done);
    }
    let replicator = Replicator::start(feeds, store, metrics, config.engine.page_allowance)
        .context("the feeds cannot be replicated as configured")?;
    let replicator = pulse.follow(Arc::new(replicator));
    loop {
        tokio::select! {
            () = hang_up(&mut hangups) => replicator.reload_tokens().await,
            () = shutdown.soft().cancelled() => break,
        }
    }
    pulse.rest();
    systemd::stopping();
    replicator.stop_gently();
    let gently = tokio::select! {
        () = replicator.stopped() => true,
        () = sleep(config.engine.shutdown_grace) => false,
        () = shutdown.hard().cancelled() => false,
    };
    if gently {
        return Ok(Exit::Done);
    }
    replicator.stop_now();
    if shutdown.hard().is_cancelled() {
        return Ok(shutdown.exit());
    }
    let grace = config.engine.shutdown_grace;
    warn!(
        "work under way did not reach a commit within {grace:?}; it is dropped and goes on at the next start"
    );
    // What is dropped rolls back by itself, also if it does not notice in time.
    let _ = timeout(LAST, replicator.stopped()).await;
    Ok(Exit::Done)
}

/// The next SIGHUP; never, if nobody listens for it.
async fn hang_up(hangups: &mut Option<Signal>) {
    let heard = match hangups {
        Some(hangups) => hangups.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Brings the tables up to date; waits while the database is away, or while somebody else has to do it.
pub(crate) async fn prepare_schema(store: &Store) -> Result<(), spark_store::Error> {
    let mut said: Option<Instant> = None;
    loop {
        let error = match try_schema(store).await {
            Ok(applied) => {
                if !applied.is_empty() {
                    info!(migrations = applied.join(", "), "the schema was brought up to date");
                }
                return Ok(());
            }
            Err(error) => error,
        };
        if !matches!(error.recovery(), Recovery::Retry { .. }) {
            return Err(error);
        }
        if said.is_none_or(|at| at.elapsed() > REMIND) {
            warn!(
                error = format!("{:#}", anyhow::Error::new(error)),
                "the database is waited for; nothing is replicated meanwhile"
            );
            said = Some(Instant::now());
        }
        sleep(RETRY).await;
    }
}

/// Applies what is missing. Whoever may not alter tables waits for somebody who may.
async fn try_schema(store: &Store) -> Result<Vec<String>, spark_store::Error> {
    loop {
        if store.pending_migrations().await?.is_empty() {
            return Ok(Vec::new());
        }
        match store.migrate().await {
            Err(denied @ spark_store::Error::Denied(_)) => {
                let denied = format!("{:#}", anyhow::Error::new(denied));
                error!(error = denied, "{WHO_MIGRATES}; nothing is replicated meanwhile");
                sleep(REMIND / 6).await;
            }
            other => return other,
        }
    }
}

/// Tells systemd how the feeds are, as the status page's head does.
async fn tell(latest: Arc<Latest>, stop: CancellationToken) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    loop {
        let (view, now) = latest.view().await;
        systemd::status(&http::summary(&view, now));
        if stop.run_until_cancelled(sleep(STATUS)).await.is_none() {
            return;
        }
    }
}
