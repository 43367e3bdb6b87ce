//! What was done lately.

use maud::{Markup, html};
use spark_domain::Timestamp;

use super::super::view::{Run, seconds};
use super::{ago, grouped};
use crate::config::units::spoken;

/// The last runs, the latest first.
pub(super) fn table(runs: &[Run], now: Timestamp) -> Markup {
    html! {
        section {
            h2 { "Last runs" small { "without those that found nothing new" } }
            @if runs.is_empty() { p class="soft" { "None has ended yet." } }
            @else {
                table {
                    thead {
                        tr {
                            th { "When" } th { "What" } th { "Outcome" } th class="number" { "New" }
                            th class="number" { "Changed" } th class="number" { "Same" }
                            th class="number" { "Deleted" } th class="number" { "Took" }
                        }
                    }
                    tbody { @for run in runs { (line(run, now)) } }
                }
            }
        }
    }
}

fn line(run: &Run, now: Timestamp) -> Markup {
    let tone = match run.outcome.as_str() {
        "success" => "good",
        "failed" | "abandoned" => "bad",
        _ => "note",
    };
    html! {
        tr {
            td { (ago(run.ended_at, now)) }
            td { (run.feed) " " (run.resource) " " b { (run.job) } }
            td {
                span class={ "word " (tone) } { (run.outcome) }
                @if let Some(message) = &run.message { small { (message) } }
                @if run.rejected > 0 { small class="bad" { (grouped(run.rejected)) " rejected" } }
            }
            td class="number" data-name="New" { (grouped(run.inserted)) }
            td class="number" data-name="Changed" { (grouped(run.updated)) }
            td class="number" data-name="Same" { (grouped(run.unchanged)) }
            td class="number" data-name="Deleted" { (grouped(run.deleted)) }
            td class="number" data-name="Took" { (took(seconds(run.ended_at - run.began_at))) }
        }
    }
}

/// Most runs take less than a second.
fn took(seconds: f64) -> String {
    if seconds < 9.95 { format!("{seconds:.1} s") } else { spoken(seconds) }
}
