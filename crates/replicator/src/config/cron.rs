//! Times of day: a cron expression of 5 or 6 fields, and what it means in a time zone.
//!
//! What an expression means is the scheduler's to say, so that what is checked and explained here is what will
//! be done.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use spark_scheduler::cron::{longest_gap, next_after, normalise};

/// The starts from which the greatest gap is looked for: together they span the coming 8 weeks, so that a
/// change of the clocks within them counts.
const STARTS: [i64; 5] = [0, 12, 24, 36, 48];

/// A cron expression that was understood.
#[derive(Debug, Clone)]
pub(crate) struct Cron {
    text: String,
    six: String,
}

impl Cron {
    /// Reads an expression like `0 2,14 * * *`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let remedy = "write \"minute hour day month weekday\", like \"0 2 * * *\" for every night at 2";
        let six = normalise(text).map_err(|error| format!("{error}; {remedy}"))?;
        Ok(Self { text: text.to_owned(), six })
    }

    /// The expression as written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The same with six fields, as the scheduler takes it.
    pub(crate) fn six_fields(&self) -> &str {
        &self.six
    }

    /// The next times after `now`, in the zone.
    pub(crate) fn next(&self, now: DateTime<Utc>, zone: Tz, many: usize) -> Vec<DateTime<Tz>> {
        let runs = std::iter::successors(next_after(&self.six, zone, now), |last| {
            next_after(&self.six, zone, *last)
        });
        runs.take(many).map(|run| run.with_timezone(&zone)).collect()
    }

    /// The longest time between two runs in the coming weeks; none if there are no two runs.
    pub(crate) fn greatest_gap(&self, now: DateTime<Utc>, zone: Tz) -> Option<Duration> {
        let gaps =
            STARTS.iter().filter_map(|days| longest_gap(&self.six, zone, now + TimeDelta::days(*days)));
        gaps.max().and_then(|gap| gap.to_std().ok())
    }

    /// What it means: its next three times.
    pub(crate) fn explain(&self, now: DateTime<Utc>, zone: Tz) -> String {
        let times: Vec<_> = self
            .next(now, zone, 3)
            .iter()
            .map(|time| time.format("%a %Y-%m-%d %H:%M:%S %Z").to_string())
            .collect();
        if times.is_empty() { "never runs".to_owned() } else { format!("next runs: {}", times.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn five_and_six_fields_are_read_and_anything_else_is_explained() {
        assert!(Cron::parse("0 2 * * *").is_ok());
        assert!(Cron::parse("*/5 * * * * *").is_ok());
        for bad in ["", "nightly", "0 2 * *", "0 0 2 * * * 2030", "61 2 * * *", "0 2 1 * MON"] {
            assert!(Cron::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(Cron::parse("61 2 * * *").unwrap_err().contains("minute hour day month weekday"));
    }

    #[test]
    fn the_greatest_gap_knows_of_the_night_that_is_an_hour_longer() {
        let cron = Cron::parse("0 2,14 * * *").unwrap();
        let zone: Tz = "America/New_York".parse().unwrap();
        let hours = |now| cron.greatest_gap(at(now), zone).unwrap().as_secs() / 3_600;
        assert_eq!(hours("2026-06-01T00:00:00Z"), 12);
        assert_eq!(hours("2026-10-20T00:00:00Z"), 13);
    }

    #[test]
    fn a_monthly_run_has_a_gap_of_a_month() {
        let gap =
            Cron::parse("0 2 1 * *").unwrap().greatest_gap(at("2026-06-15T00:00:00Z"), Tz::UTC).unwrap();
        assert_eq!(gap.as_secs() / 86_400, 31);
    }

    #[test]
    fn an_explanation_names_the_next_three_times() {
        let said = Cron::parse("30 2 * * *").unwrap().explain(at("2026-06-01T00:00:00Z"), Tz::UTC);
        assert!(said.starts_with("next runs: Mon 2026-06-01 02:30:00 UTC, Tue"), "{said}");
    }
}
