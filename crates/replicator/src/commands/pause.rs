//! `pause` and `resume`: let a feed rest, and end its rest.

use spark_domain::FeedName;
use spark_store::{Lease, RequestKind, Store};

use super::operator::{self, Way};
use super::print;
use crate::config::Config;
use crate::exit::{Exit, refuse};

pub(super) async fn pause(store: &Store, config: &Config, feed: &FeedName) -> anyhow::Result<Exit> {
    change(store, config, feed, RequestKind::Pause).await
}

pub(super) async fn resume(store: &Store, config: &Config, feed: &FeedName) -> anyhow::Result<Exit> {
    change(store, config, feed, RequestKind::Resume).await
}

async fn change(store: &Store, config: &Config, feed: &FeedName, kind: RequestKind) -> anyhow::Result<Exit> {
    operator::check_feed(store, config, feed).await?;
    let said = match operator::way(store, feed, config).await? {
        Way::Daemon => operator::ask(store, feed, &kind, operator::NOTED).await?,
        Way::Here(lease) => {
            let known = store.feed_state(feed).await?.is_some();
            overtake(store, &lease).await?;
            let written = match kind {
                RequestKind::Pause => store.pause_feed(&lease, &operator::operator()).await,
                _ => store.resume_feed(&lease).await,
            };
            store.release_lease(&lease).await?;
            written?;
            if !known {
                let message = format!("feed {feed} has never run, so there is nothing to change");
                return Err(refuse(Exit::Failed, message));
            }
            match kind {
                RequestKind::Pause => {
                    "paused; no daemon leads the feed now, and one that starts will let it rest".to_owned()
                }
                _ => "resumed; no daemon leads the feed now".to_owned(),
            }
        }
    };
    print(&format!("{feed}: {said}"));
    Ok(Exit::Done)
}

/// An older pause or resume that no daemon has come to must not be carried out after this one.
async fn overtake(store: &Store, lease: &Lease) -> anyhow::Result<()> {
    for request in store.take_requests(lease, &[]).await? {
        if matches!(request.kind, RequestKind::Pause | RequestKind::Resume) {
            let message = "a later pause or resume took its place";
            store.finish_request(lease, request.id, false, message).await?;
        }
    }
    Ok(())
}
