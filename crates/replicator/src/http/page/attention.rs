//! What needs a person: each with what it means and the command that mends it.

use maud::{Markup, html};
use spark_domain::Timestamp;

use super::super::view::{Plan, View};
use super::{ago, grouped, plural};

/// How many things need a person, beside lateness.
pub(super) fn count(view: &View) -> usize {
    let blocked = view.feeds.iter().filter(|feed| feed.blocked.is_some()).count();
    let noted = view.feeds.iter().map(|feed| feed.notes.len()).sum::<usize>();
    blocked + noted + waiting(view).count() + usize::from(!view.quarantine.is_empty())
}

/// The boxes above everything else.
pub(super) fn list(view: &View, now: Timestamp) -> Markup {
    html! {
        @if let Some(away) = &view.database_away {
            section class="attention bad" {
                b { "The database has been away since " (away.at.format("%H:%M:%S UTC")) "." }
                p { (away.reason) }
                p class="soft" { "Fetching pauses and goes on by itself when it is back; nothing is lost." }
            }
        }
        @for feed in &view.feeds {
            @if let Some(blocked) = &feed.blocked {
                section class="attention bad" {
                    b { "Feed " (feed.feed) " is blocked" } " " span class="soft" { (ago(blocked.at, now)) }
                    p { (blocked.reason) }
                    p class="soft" {
                        "Put a valid token into its token file, or sign in: it is tried within seconds. The one that "
                        "was refused is tried again every 15 minutes. The data stays as it is."
                    }
                }
            }
            @for note in &feed.notes {
                section class="attention note" {
                    b { "Feed " (feed.feed) " needs somebody" }
                    p { (note) }
                }
            }
        }
        @for plan in waiting(view) { (held(plan, now)) }
        @if !view.quarantine.is_empty() {
            section class="attention note" {
                b { (plural(view.quarantine.len(), "record")) " could not be stored" }
                p class="soft" { "Everything else on their pages was. They are tried again whenever the feed shows them." }
                table {
                    thead { tr { th { "Record" } th { "Why" } th { "Last seen" } } }
                    tbody {
                        @for record in view.quarantine.iter().take(10) {
                            tr {
                                td {
                                    (record.feed) " " (record.resource)
                                    small { (record.key.as_deref().unwrap_or("without a key")) }
                                }
                                td { (record.message) }
                                td { (ago(record.last_seen_at, now)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn held(plan: &Plan, now: Timestamp) -> Markup {
    html! {
        section class="attention note" {
            b { "A purge of " (grouped(plan.candidates)) " " (plan.resource) " records of " (plan.feed) " waits for approval" }
            " " span class="soft" { (ago(plan.created_at, now)) }
            p { (plan.explanation) }
            p class="soft" {
                "Nothing is deleted. If it is right: " code { "spark-replicator purge approve " (plan.plan) }
                ". If it is a fault of the feed, do nothing: every sweep makes the plan anew."
            }
        }
    }
}

/// Plans that a guard holds and nobody has approved.
fn waiting(view: &View) -> impl Iterator<Item = &Plan> {
    view.plans.iter().filter(|plan| plan.refusal.is_some() && plan.approved_by.is_none())
}
