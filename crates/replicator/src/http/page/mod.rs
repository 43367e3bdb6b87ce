//! The status page: one page rendered here, with its style and its few lines of script inside. It loads nothing
//! from anywhere, tells every state by a word and not by colour alone, and renews itself.

mod attention;
mod feeds;
mod runs;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use spark_domain::Timestamp;

use super::view::{Standing, View, seconds};
use crate::config::units::spoken;

/// The page as of `now`.
pub(crate) fn page(view: &View, now: Timestamp) -> Markup {
    let (tone, headline, more) = headline(view, now);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (headline) " · spark-replicator" }
                link rel="icon" href="data:,";
                style { (PreEscaped(include_str!("style.css"))) }
                noscript { meta http-equiv="refresh" content="5"; }
            }
            body {
                div #offline role="alert" hidden {}
                main {
                    header class=(tone) { h1 { (headline) } p { (more) } }
                    (attention::list(view, now))
                    @for feed in &view.feeds { (feeds::feed(feed, now)) }
                    (runs::table(&view.runs, now))
                }
                footer {
                    "spark-replicator " (view.version) " · as of " (view.read_at.format("%Y-%m-%d %H:%M:%S UTC"))
                    " · " a href="status" { "status" } " · " a href="freshness" { "freshness" }
                    " · " a href="metrics" { "metrics" } " · " a href="readyz" { "ready" }
                }
                script { (PreEscaped(include_str!("refresh.js"))) }
            }
        }
    }
}

/// The page's answer in one line.
pub(crate) fn summary(view: &View, now: Timestamp) -> String {
    let (_, headline, more) = headline(view, now);
    format!("{headline}. {more}")
}

/// The page's answer in one line, and a line below it.
fn headline(view: &View, now: Timestamp) -> (&'static str, String, String) {
    let worst = view.feeds.iter().map(|feed| feed.standing).max();
    let trouble = attention::count(view);
    let many = view.resources().count();
    let scope = format!("{} of {}", plural(many, "resource"), plural(view.feeds.len(), "feed"));
    let behind = view
        .resources()
        .filter(|(_, resource)| resource.standing != Standing::Off && resource.resource != "Lookup")
        .filter_map(|(_, resource)| resource.behind_seconds)
        .fold(0.0, f64::max);
    let furthest = format!("{scope}, at most {} behind.", spoken(behind));
    let tone = |standing: Standing| feeds::tone(standing);
    match worst {
        _ if view.database_away.is_some() => {
            let age = spoken(seconds(now - view.read_at));
            ("bad", "The database does not answer".to_owned(), format!("Last read {age} ago."))
        }
        None => ("note", "No feed is known yet".to_owned(), "The first run writes it down.".to_owned()),
        Some(standing @ (Standing::Blocked | Standing::Stale | Standing::Behind)) => {
            let late = |s: Standing| matches!(s, Standing::Blocked | Standing::Stale | Standing::Behind);
            let many = view.resources().filter(|(_, resource)| late(resource.standing)).count();
            let headline = format!(
                "{} not fresh",
                if many == 1 { "1 resource is".to_owned() } else { format!("{many} resources are") }
            );
            (tone(standing), headline, furthest)
        }
        Some(_) if trouble > 0 => {
            let needs = if trouble == 1 {
                "1 thing needs a person".to_owned()
            } else {
                format!("{trouble} things need a person")
            };
            ("note", needs, furthest)
        }
        Some(Standing::Downloading | Standing::Waiting) => {
            let done = view.resources().filter(|(_, resource)| resource.behind_seconds.is_some()).count();
            ("busy", "The first download is under way".to_owned(), format!("{done} of {scope} are complete."))
        }
        Some(Standing::Paused) => ("note", "A feed is paused".to_owned(), furthest),
        Some(Standing::Fresh | Standing::Off) => ("good", "Everything is fresh".to_owned(), furthest),
    }
}

/// `1 feed`, `2 feeds`.
fn plural(many: usize, thing: &str) -> String {
    if many == 1 { format!("1 {thing}") } else { format!("{many} {thing}s") }
}

/// A count with its thousands parted.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How long ago, with the exact time on hover.
fn ago(at: Timestamp, now: Timestamp) -> Markup {
    let exact = at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! { time datetime=(at.to_rfc3339()) title=(exact) { (spoken(seconds(now - at).max(0.0))) " ago" } }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn text(view: &View) -> String {
        page(view, view.read_at).into_string()
    }

    #[test]
    fn each_state_of_the_world_has_its_own_headline() {
        assert!(text(&sample::healthy()).contains("<h1>Everything is fresh</h1>"));
        assert!(text(&sample::loading()).contains("<h1>The first download is under way</h1>"));
        let mut broken = sample::broken();
        assert!(text(&broken).contains("<h1>The database does not answer</h1>"));
        broken.database_away = None;
        assert!(text(&broken).contains("<h1>8 resources are not fresh</h1>"));
        broken.feeds.clear();
        assert!(text(&broken).contains("<h1>No feed is known yet</h1>"));
    }

    #[test]
    fn states_are_words_trouble_comes_with_its_remedy_and_data_cannot_become_markup() {
        let page = text(&sample::broken());
        for part in [
            ">stale<",
            ">behind<",
            ">blocked<",
            ">off<",
            "spark-replicator purge approve 7",
            "&lt;script&gt;",
            "HTTP 503 from Property",
        ] {
            assert!(page.contains(part), "{part:?} is missing");
        }
        assert!(!page.contains("<script>\n") && page.matches("<script>").count() == 1);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let page = text(&sample::broken());
        assert!(!page.contains("src=") && !page.contains("http://") && !page.contains("https://"));
    }

    #[test]
    fn progress_shows_share_and_time_left() {
        let page = text(&sample::loading());
        assert!(page.contains("52,000 of 124,000 records (41 %), about 18 min to go"), "{page}");
    }

    #[test]
    fn thousands_are_parted() {
        assert_eq!([1, 999, 1_000, 1_234_567].map(grouped), ["1", "999", "1,000", "1,234,567"]);
    }
}
