//! How everything stands, for people and for machines.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::Sources;
use super::view::View;

/// The status page.
pub(super) async fn page(State(sources): State<Sources>) -> impl IntoResponse {
    let (view, now) = sources.latest.view().await;
    super::page::page(&view, now)
}

/// The same as data.
pub(super) async fn status(State(sources): State<Sources>) -> Json<View> {
    Json(sources.latest.view().await.0)
}

/// One line for each feed and resource: how far behind it is, and whether that is within its objective.
pub(super) async fn freshness(State(sources): State<Sources>) -> Json<Value> {
    Json(lines(&sources.latest.view().await.0))
}

fn lines(view: &View) -> Value {
    let line = |(feed, resource): (&super::view::Feed, &super::view::Resource)| {
        json!({
            "feed": feed.feed,
            "resource": resource.resource,
            "standing": resource.standing,
            "behind_seconds": resource.behind_seconds,
            "objective_seconds": resource.objective_seconds,
            "complete_through_at": resource.complete_through_at,
        })
    };
    view.resources().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn freshness_has_a_line_for_each_resource_with_age_objective_and_word() {
        let lines = lines(&sample::broken());
        assert_eq!(lines.as_array().map(Vec::len), Some(12));
        assert_eq!(lines[0]["standing"], "stale");
        assert_eq!(lines[0]["behind_seconds"], 11_520.0);
        assert_eq!(lines[0]["objective_seconds"], 1_800.0);
    }
}
