//! For Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Sources;

/// All metrics. Prometheus 3 refuses a scrape whose content type it does not know.
pub(super) async fn metrics(State(sources): State<Sources>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (sources.metrics)())
}
