//! What operators and Prometheus ask of a running daemon.
//!
//! The rules: `/healthz` never asks the database, because liveness tied to it makes restart storms; no answer
//! takes longer than [`PATIENCE`]; clients are few and short-lived by force (see [`listener`]), because whoever
//! can reach the port must not be able to stop the daemon from stopping; and nothing here writes.

pub(crate) mod view;
pub(crate) mod listener;
mod latest;
mod reading;
mod health;
mod metrics;
mod status;
mod page;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

pub(crate) use self::latest::{Latest, Objective};
pub(crate) use self::listener::Bounded;
pub(crate) use self::page::summary;

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long requests under way may take to end when we stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the answers are made of.
#[derive(Clone)]
pub(crate) struct Sources {
    /// What the store says.
    pub(crate) latest: Arc<Latest>,
    /// All metrics, in Prometheus' text format.
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether the scheduler's loop has turned lately.
    pub(crate) alive: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Listens; fails if the address is taken or not ours.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`, and a little longer for requests under way.
pub(crate) async fn serve(
    listener: TcpListener,
    sources: Sources,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = listener::Bounded::new(listener);
    let server =
        axum::serve(listener, router(sources)).with_graceful_shutdown(stop.clone().cancelled_owned());
    let end = async {
        stop.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        ended = server.into_future() => ended,
        () = end => Ok(()),
    }
}

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/", get(status::page))
        .route("/status", get(status::status))
        .route("/freshness", get(status::freshness))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(sources)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, PATIENCE))
        .layer(RequestBodyLimitLayer::new(0))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(read_only))
        .layer(map_response(guard))
}

/// Whoever can reach the port can read, and change nothing: so it needs no token. What changes something is a
/// command, and a row that only the database's roles may write.
async fn read_only(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD"), (header::CONNECTION, "close")])
        .into_response()
}

/// A page that loads nothing may say so; and nothing here is ever to be cached.
async fn guard(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
        connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers: [(HeaderName, &'static str); 3] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
