//! Alive, and ready.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Sources;

/// Longer than this the database is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// 200 while the process can answer and the scheduler's loop turns. Neither database nor feed are asked: a
/// restart would not bring them back.
pub(super) async fn healthz(State(sources): State<Sources>) -> Response {
    if (sources.alive)() {
        (StatusCode::OK, "alive\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the scheduler's loop stands still\n").into_response()
    }
}

/// 200 when the database answers and its schema is ours. Lag does not unready: it would hide `/metrics` and
/// block the very roll-out that mends it. A stand-by is ready.
pub(super) async fn readyz(State(sources): State<Sources>) -> Response {
    let asked = tokio::time::timeout(PATIENCE, sources.latest.store().pending_migrations()).await;
    let reason = match asked {
        Ok(Ok(pending)) if pending.is_empty() => {
            return Json(json!({ "ready": true })).into_response();
        }
        Ok(Ok(pending)) => format!("migrations are pending: {}", pending.join(", ")),
        Ok(Err(error)) => format!("{:#}", anyhow::Error::new(error)),
        Err(_) => "the database does not answer within 3 s".to_owned(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "reason": reason }))).into_response()
}
