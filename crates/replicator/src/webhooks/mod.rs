//! Where feeds deliver their events: `POST /webhooks/FEED`, on a listener of its own.
//!
//! The rules: whoever reaches the port can be anybody, so a request is bounded in size and time before it is read,
//! read before it is believed, and believed only with the feed's own proofs; a feed that we do not have is refused
//! in the same words as a wrong signature. 200 means that the events are in Postgres. Nothing is read from the feed
//! here: the delivery may have reached a stand-by, and its sender waits for two seconds and no longer.

mod delivery;
mod proof;
mod refused;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::IncomingStream;
use spark_domain::{EntityEvent, FeedName, Resource};
use spark_scheduler::Metrics;
use spark_scheduler::metrics::Delivered;
use spark_store::{Receipt, Store};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use self::delivery::{Delivery, Unfit};
use self::proof::Proofs;
use self::refused::Refused;
use crate::assembly;
use crate::config::Config;
use crate::http::listener::{Bounded, Request};

/// Senders at a time: with the largest of bodies they take 16 MB.
const PLACES: usize = 16;

/// The largest body.
const LARGEST: usize = 1_000_000;

/// How long a body may take to arrive: longer than its sender would wait for the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest that an answer may take, whatever happens.
const LONGEST: Duration = Duration::from_secs(5);

/// Keys of a feed that may wait to be read. What is beyond, the next update brings.
const MOST_UNREAD: i64 = 50_000;

/// When a sender that was turned away may come again.
const COME_AGAIN: &str = "30";

/// What deliveries are held against, and where they go.
pub(crate) struct Receiver {
    feeds: BTreeMap<String, Known>,
    decoy: Proofs,
    store: Store,
    metrics: Arc<Metrics>,
    refused: Refused,
}

/// A feed that delivers.
struct Known {
    name: FeedName,
    proofs: Proofs,
    /// What is replicated of it by its keys.
    resources: BTreeSet<Resource>,
}

impl Receiver {
    /// Reads the secrets.
    pub(crate) fn new(config: &Config, store: Store, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let mut feeds = BTreeMap::new();
        for (name, feed) in &config.feeds {
            let Some(webhook) = &feed.webhook else { continue };
            let key = |which: &str| format!("feeds.{name}.webhook.{which}_file");
            let secret = webhook.secret.as_ref().map(|secret| assembly::read(secret, &key("secret")));
            let bearer = webhook.bearer.as_ref().map(|bearer| assembly::read(bearer, &key("bearer")));
            let (secret, bearer) = (secret.transpose()?, bearer.transpose()?);
            let proofs = Proofs::new(secret.as_deref(), webhook.signature, bearer.as_deref())?;
            let resources =
                feed.resources.iter().copied().filter(|resource| resource.has_updates()).collect();
            metrics.declare_webhook(name);
            feeds.insert(name.to_string(), Known { name: name.clone(), proofs, resources });
        }
        Ok(Self { feeds, decoy: Proofs::decoy()?, store, metrics, refused: Refused::default() })
    }

    /// What is replicated of a delivery, and of which feed; or how it is refused.
    fn examine<'k>(
        &self,
        known: Option<&'k Known>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(&'k FeedName, Delivery), Delivered> {
        let proofs = known.map_or(&self.decoy, |known| &known.proofs);
        let holds = proofs.hold(headers, body);
        let Some(known) = known.filter(|_| holds) else { return Err(Delivered::Unauthorized) };
        let mut delivery = Delivery::read(body).map_err(|unfit| match unfit {
            Unfit::Malformed => Delivered::Malformed,
            Unfit::TooMany => Delivered::TooLarge,
        })?;
        let before = delivery.events.len();
        delivery.events.retain(|event| known.resources.contains(&event.resource));
        delivery.foreign += before - delivery.events.len();
        Ok((&known.name, delivery))
    }

    /// Makes events durable; how many keys are due by them.
    async fn keep(&self, feed: &FeedName, events: &[EntityEvent]) -> Result<u64, Delivered> {
        if events.is_empty() {
            return Ok(0);
        }
        match self.store.receive_events(feed, events, MOST_UNREAD).await {
            Ok(Receipt::Kept { keys }) => Ok(keys),
            Ok(Receipt::Full) => Err(Delivered::Full),
            Err(error) => {
                tracing::debug!(
                    error = format!("{:#}", anyhow::Error::new(error)),
                    "events were not written down"
                );
                Err(Delivered::Unavailable)
            }
        }
    }

    /// Takes a delivery, or says how it is refused.
    async fn take(
        &self,
        known: Option<&Known>,
        headers: &HeaderMap,
        body: Result<Bytes, Delivered>,
    ) -> Result<(), Delivered> {
        let (feed, delivery) = self.examine(known, headers, &body?)?;
        let kept = self.keep(feed, &delivery.events).await?;
        let merged = (delivery.events.len() as u64).saturating_sub(kept);
        self.metrics.events_received(feed, kept, merged, delivery.unreadable as u64);
        self.metrics.events_ignored(feed, delivery.foreign);
        tracing::debug!(%feed, kept, merged, ignored = delivery.foreign, "a delivery was taken");
        Ok(())
    }
}

/// Serves until `stop`; a delivery that is cut off was not answered, and is made again.
pub(crate) async fn serve(
    listener: TcpListener,
    receiver: Arc<Receiver>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/webhooks/{feed}", post(deliver))
        .with_state(receiver)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LONGEST))
        .layer(CatchPanicLayer::new());
    let listener = Bounded::with_bodies(listener, PLACES, LARGEST);
    let server = axum::serve(listener, router.into_make_service_with_connect_info::<Sender>());
    tokio::select! {
        ended = server.into_future() => ended,
        () = stop.cancelled() => Ok(()),
    }
}

/// Who delivers, as its place on the listener has to know it.
#[derive(Clone)]
struct Sender(Request);

impl Connected<IncomingStream<'_, Bounded>> for Sender {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(stream.io().request())
    }
}

async fn deliver(
    State(receiver): State<Arc<Receiver>>,
    ConnectInfo(Sender(request)): ConnectInfo<Sender>,
    Path(feed): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let known = receiver.feeds.get(&feed);
    let body = whole(&headers, body).await;
    // Until here the sender could have lost its place to another one.
    request.is_complete();
    let result = receiver.take(known, &headers, body).await.err().unwrap_or(Delivered::Accepted);
    let name = known.map(|known| &known.name);
    receiver.metrics.delivered(name, result);
    if result != Delivered::Accepted {
        receiver.refused.say(name, result);
    }
    answer(result)
}

/// The body, if it is small enough and comes soon enough.
async fn whole(headers: &HeaderMap, body: Body) -> Result<Bytes, Delivered> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > LARGEST) {
        return Err(Delivered::TooLarge);
    }
    match timeout(PATIENCE, to_bytes(body, LARGEST)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Delivered::TooLarge),
        Err(_) => Err(Delivered::Malformed),
    }
}

fn answer(result: Delivered) -> Response {
    match result {
        Delivered::Accepted => StatusCode::OK.into_response(),
        Delivered::Unauthorized => {
            let asks = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
            (StatusCode::UNAUTHORIZED, asks).into_response()
        }
        Delivered::Malformed => StatusCode::BAD_REQUEST.into_response(),
        Delivered::TooLarge => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Delivered::Unavailable | Delivered::Full => {
            let later = [(header::RETRY_AFTER, HeaderValue::from_static(COME_AGAIN))];
            (StatusCode::SERVICE_UNAVAILABLE, later).into_response()
        }
    }
}
