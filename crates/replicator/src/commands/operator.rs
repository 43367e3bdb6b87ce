//! What an operator asks of a feed: of the daemon that holds its lease, or done here if nobody does.
//!
//! The rule: a command never works beside a living daemon. It leaves a request in the database and waits for
//! the answer, so that there is one writer per feed at any time.

use std::time::Duration;

use spark_domain::FeedName;
use spark_store::{Lease, RequestKind, Store};
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::exit::{Exit, refuse};

/// How long a daemon may take to answer what it only has to note down. It looks every second.
pub(super) const NOTED: Duration = Duration::from_secs(30);

/// How long a daemon may take for a sweep and its confirmations.
pub(super) const SWEPT: Duration = Duration::from_hours(1);

/// How often the answer is looked for.
const LOOK: Duration = Duration::from_millis(250);

/// Who is to carry out what is asked.
pub(super) enum Way {
    /// The daemon that leads the feed.
    Daemon,
    /// Nobody else: the lease is ours.
    Here(Lease),
}

/// Finds out who is to act for a feed; takes its lease if nobody has it.
pub(super) async fn way(store: &Store, feed: &FeedName, config: &Config) -> anyhow::Result<Way> {
    loop {
        if leads(store, feed).await? {
            return Ok(Way::Daemon);
        }
        let us = format!("command:{}:{}", std::process::id(), uuid::Uuid::new_v4().simple());
        if let Some(lease) = store.acquire_lease(feed, &us, config.engine.lease_life).await? {
            return Ok(Way::Here(lease));
        }
    }
}

/// Whether a living instance leads a feed. A lease that still holds may be a dead daemon's, so it counts once it
/// is seen to be renewed; that takes one beat.
pub(super) async fn leads(store: &Store, feed: &FeedName) -> anyhow::Result<bool> {
    let mut first = None;
    loop {
        let Some(holder) = store.lease_holder(feed).await?.filter(|holder| holder.alive) else {
            return Ok(false);
        };
        let seen = (holder.epoch, holder.expires_at);
        if *first.get_or_insert(seen) != seen {
            return Ok(true);
        }
        sleep(LOOK).await;
    }
}

/// Leaves a request and waits for what its carrying out came to.
pub(super) async fn ask(
    store: &Store,
    feed: &FeedName,
    kind: &RequestKind,
    patience: Duration,
) -> anyhow::Result<String> {
    let request = store.submit_request(feed, kind, &operator()).await?;
    let end = Instant::now() + patience;
    loop {
        if let Some(result) = store.request_result(request).await? {
            return if result.ok { Ok(result.message) } else { Err(refuse(Exit::Failed, result.message)) };
        }
        if Instant::now() > end {
            let message = format!(
                "feed {feed} has not answered request {} within {} s; it stands for a day and is carried out by \
                 whoever leads the feed then",
                request.0,
                patience.as_secs()
            );
            return Err(refuse(Exit::Temporary, message));
        }
        sleep(LOOK).await;
    }
}

/// The feed must be one of ours, or the database's: a slip of the hand is no feed.
pub(super) async fn check_feed(store: &Store, config: &Config, feed: &FeedName) -> anyhow::Result<()> {
    if config.feeds.contains_key(feed) || store.feed_state(feed).await?.is_some() {
        return Ok(());
    }
    let known: Vec<_> = config.feeds.keys().map(ToString::to_string).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(refuse(Exit::Failed, format!("there is no feed {feed}; configured: {known}")))
}

/// Who asks, for the record: the person behind sudo before root.
pub(super) fn operator() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.trim())
}
