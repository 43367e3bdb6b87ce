//! A feed and its resources, a line each.

use maud::{Markup, html};
use spark_domain::Timestamp;

use super::super::view::{Feed, Progress, Resource, Running, Standing, float};
use super::{ago, grouped};
use crate::config::units::spoken;

/// The colour that goes with a word.
pub(super) fn tone(standing: Standing) -> &'static str {
    match standing {
        Standing::Fresh => "good",
        Standing::Off => "calm",
        Standing::Paused | Standing::Behind => "note",
        Standing::Downloading | Standing::Waiting => "busy",
        Standing::Stale | Standing::Blocked => "bad",
    }
}

/// A feed.
pub(super) fn feed(feed: &Feed, now: Timestamp) -> Markup {
    html! {
        section {
            h2 {
                (feed.feed) (word(feed.standing))
                small {
                    @match &feed.holder {
                        Some(holder) => { "replicated by " (holder) },
                        None => { "no instance works on it" },
                    }
                    @if let Some(paused) = &feed.paused { " · paused by " (paused.reason) " " (ago(paused.at, now)) }
                    @if feed.relations_due > 0 {
                        " · " (grouped(feed.relations_due)) " media sets due"
                        @if let Some(at) = feed.oldest_relation_due_at { ", the oldest " (ago(at, now)) }
                    }
                    @for note in feed.requests.iter().flat_map(|requests| &requests.notes) {
                        " · " (note)
                    }
                    @if feed.events_unread > 0 {
                        " · " (grouped(feed.events_unread)) " events unread"
                        @if let Some(at) = feed.oldest_event_received_at { ", the oldest " (ago(at, now)) }
                    }
                    @if let Some(skew) = feed.clock_skew_seconds.filter(|skew| skew.abs() >= 5.0) {
                        " · its clock is " (spoken(skew)) @if skew > 0.0 { " ahead of ours" } @else { " behind ours" }
                    }
                }
            }
            table {
                thead {
                    tr {
                        th { "Resource" } th { "State" } th { "Behind, of objective" } th class="number" { "Rows" }
                        th { "Now" } th { "Last purge" }
                    }
                }
                tbody { @for resource in &feed.resources { (line(resource, now)) } }
            }
        }
    }
}

fn line(resource: &Resource, now: Timestamp) -> Markup {
    html! {
        tr {
            td { b { (resource.resource) } }
            td { (word(resource.standing)) }
            td data-name="Behind" { (behind(resource)) }
            td class="number" data-name="Rows" { (grouped(resource.rows)) }
            td data-name="Now" {
                @for running in &resource.running { div { (activity(running, now)) } }
                @for off in &resource.expansions_off { small { "without " (off.relation) ": " (off.since.reason) } }
                @if let Some(off) = &resource.off { small { (off.reason) } }
                @else if let Some(trouble) = &resource.trouble { small class="bad" { (trouble) } }
                @else if resource.running.is_empty() {
                    span class="soft" {
                        @match resource.last_success_at {
                            Some(at) => { "done " (ago(at, now)) },
                            None => { "not yet begun" },
                        }
                    }
                }
            }
            td data-name="Last purge" {
                @match resource.last_sweep_completed_at {
                    Some(at) => (ago(at, now)),
                    None => span class="soft" { "none yet" },
                }
            }
        }
    }
}

fn behind(resource: &Resource) -> Markup {
    html! {
        @match (resource.behind_seconds, &resource.initial_download) {
            (Some(behind), _) => {
                (spoken(behind)) " " span class="soft" { "of " (spoken(resource.objective_seconds)) }
                @if resource.standing != Standing::Off { (bar(behind / resource.objective_seconds, resource.standing)) }
            },
            (None, Some(progress)) => {
                (said(progress))
                @if let Some(expected) = progress.expected.filter(|&expected| expected > 0) {
                    (bar(float(progress.processed) / float(expected), resource.standing))
                }
            },
            (None, None) => span class="soft" { "never complete" },
        }
    }
}

fn said(progress: &Progress) -> String {
    let processed = grouped(progress.processed);
    match (progress.expected, progress.eta_seconds) {
        (Some(expected), eta) if expected > 0 => {
            let share = (100 * progress.processed / expected).min(100);
            let eta = eta.map_or(String::new(), |eta| format!(", about {} to go", spoken(eta)));
            format!("{processed} of {} records ({share} %){eta}", grouped(expected))
        }
        _ if progress.processed == 0 => "first download waits for its turn".to_owned(),
        _ => format!("{processed} records so far"),
    }
}

fn activity(running: &Running, now: Timestamp) -> Markup {
    let took = super::seconds(now - running.began_at).max(0.0);
    html! {
        (running.job) " " span class="soft" {
            "for " (spoken(took)) ", page " (grouped(running.pages)) ", " (grouped(running.records)) " records"
        }
    }
}

fn word(standing: Standing) -> Markup {
    html! { span class={ "word " (tone(standing)) } { (standing.word()) } }
}

fn bar(share: f64, standing: Standing) -> Markup {
    let width = format!("width:{:.0}%", (share * 100.0).clamp(1.0, 100.0));
    html! { div class={ "bar " (tone(standing)) } { i style=(width) {} } }
}
