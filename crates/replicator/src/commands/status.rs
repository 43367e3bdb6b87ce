//! `status`: how fresh each feed and resource is, straight from the database, whether or not a daemon runs.

use std::fmt::Write as _;
use std::time::Duration;

use spark_store::Store;

use super::{print, print_json};
use crate::cli::Status;
use crate::config::Loaded;
use crate::config::units::spoken;
use crate::exit::{Exit, refuse};
use crate::http::Latest;
use crate::http::view::{Resource, Standing, View};

pub(super) async fn run(store: Store, loaded: &Loaded, arguments: &Status) -> anyhow::Result<Exit> {
    let latest = Latest::new(store, crate::assembly::objectives(&loaded.config));
    let (view, _) = latest.view().await;
    if let Some(away) = &view.database_away {
        return Err(refuse(Exit::Unavailable, format!("the database does not answer: {}", away.reason)));
    }
    if arguments.json {
        print_json(&view)?;
    } else {
        print(&text(&view));
    }
    let late = view.resources().any(|(_, resource)| is_late(resource, arguments.max_lag));
    Ok(if late { Exit::Stale } else { Exit::Done })
}

/// A resource that was never complete is late; one that is off is not.
fn is_late(resource: &Resource, max_lag: Option<Duration>) -> bool {
    let allowed = max_lag.map_or(resource.objective_seconds, |max_lag| max_lag.as_secs_f64());
    match (resource.standing, resource.behind_seconds) {
        (Standing::Off, _) => false,
        (_, Some(behind)) => behind > allowed,
        (_, None) => true,
    }
}

fn text(view: &View) -> String {
    let mut out = String::new();
    for feed in &view.feeds {
        let holder = feed.holder.as_deref().unwrap_or("nobody");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}: {}, replicated by {holder}", feed.feed, feed.standing.word());
        for (what, since) in [("blocked", &feed.blocked), ("paused by", &feed.paused)] {
            if let Some(since) = since {
                let _ = writeln!(out, "  {what} since {}: {}", since.at.format("%F %T UTC"), since.reason);
            }
        }
        for note in &feed.notes {
            let _ = writeln!(out, "  note: {note}");
        }
        for note in feed.requests.iter().flat_map(|requests| &requests.notes) {
            let _ = writeln!(out, "  requests: {note}");
        }
        for resource in &feed.resources {
            let behind = resource.behind_seconds.map_or("never complete".to_owned(), |behind| {
                format!("{} behind, of {}", spoken(behind), spoken(resource.objective_seconds))
            });
            let (name, word, rows) = (&resource.resource, resource.standing.word(), resource.rows);
            let _ = writeln!(out, "  {name:<10} {word:<12} {behind:<28} {rows:>10} rows{}", doing(resource));
        }
    }
    for plan in view.plans.iter().filter(|plan| plan.refusal.is_some() && plan.approved_by.is_none()) {
        let _ = writeln!(
            out,
            "purge plan {} of {} {} waits for approval: {}",
            plan.plan, plan.feed, plan.resource, plan.explanation
        );
    }
    if view.feeds.is_empty() {
        out.push_str("no feed is known yet\n");
    }
    out
}

fn doing(resource: &Resource) -> String {
    let mut said: Vec<String> =
        resource.running.iter().map(|run| format!("{} at page {}", run.job, run.pages)).collect();
    said.extend(resource.off.iter().map(|off| off.reason.clone()));
    let without = resource.expansions_off.iter();
    said.extend(without.map(|off| format!("without {}: {}", off.relation, off.since.reason)));
    said.extend(resource.trouble.clone());
    if said.is_empty() { String::new() } else { format!("  {}", said.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::sample;

    #[test]
    fn lateness_is_measured_by_the_objective_unless_a_limit_is_given() {
        let view = sample::broken();
        let late = |max_lag| view.resources().filter(|(_, resource)| is_late(resource, max_lag)).count();
        assert_eq!(late(None), 2);
        assert_eq!(late(Some(Duration::from_hours(1))), 3, "Property, and two tables of lookups");
        assert_eq!(late(Some(Duration::from_secs(100_000))), 0);
    }

    #[test]
    fn the_text_tells_feeds_resources_trouble_and_plans() {
        let text = text(&sample::broken());
        for part in [
            "beaches: stale",
            "Property   stale        3 h 12 min behind, of 30 min",
            "purge plan 7",
            "requests: the feed refused after 311 requests",
            "without Room: the feature is off for this MLS (1505)",
            "blocked since",
            "note: the access token cannot be refreshed and lasts until 2026-11-22 22:00:00 UTC",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}
