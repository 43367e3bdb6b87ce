//! Cron expressions: what they mean, and the library that fires them.
//!
//! `tokio-cron-scheduler` is a trigger only. A fire wakes a task, and wakes that pile up are one; whether a job
//! is due is decided by the plan from what the store says. So a fire too many costs nothing, and a fire that
//! is lost is made good by the task's own alarm a little later. A trigger is armed anew when the clocks of its
//! zone change, because the library computes only the first fire by the zone's rules and all later ones by the
//! offset of that day.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use spark_domain::Timestamp;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// The expression is no cron expression that both we and the trigger read alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    /// Too few or too many fields.
    #[error("a cron expression has 5 fields (minute first) or 6 (second first), not {0}")]
    Fields(usize),
    /// Day of month and day of week together mean different things to different programs.
    #[error("day of month and day of week are both restricted; leave one of them `*`")]
    BothDays,
    /// The parser's own words.
    #[error("{0}")]
    Unreadable(String),
}

/// The six-field form of an expression with five or six fields.
pub fn normalise(expression: &str) -> Result<String, BadCron> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let six: Vec<&str> = match fields.len() {
        5 => std::iter::once("0").chain(fields).collect(),
        6 => fields,
        other => return Err(BadCron::Fields(other)),
    };
    let restricted = |field: &str| field != "*" && field != "?";
    if restricted(six[3]) && restricted(six[5]) {
        return Err(BadCron::BothDays);
    }
    let six = six.join(" ");
    parse(&six)?;
    Ok(six)
}

/// The next time after `after` that a six-field expression names in a zone: a time that the clocks skip in
/// spring is taken at its end, one that they repeat in autumn once.
pub fn next_after(six: &str, zone: Tz, after: Timestamp) -> Option<Timestamp> {
    let next = parse(six).ok()?.find_next_occurrence(&after.with_timezone(&zone), false).ok()?;
    Some(next.with_timezone(&Utc))
}

/// The longest time between two runs that a six-field expression names from `after` on, over a fortnight or
/// its next few hundred runs.
pub fn longest_gap(six: &str, zone: Tz, after: Timestamp) -> Option<TimeDelta> {
    let cron = parse(six).ok()?;
    let runs = cron.iter_after(after.with_timezone(&zone)).map(|run| run.with_timezone(&Utc));
    // Two runs at the least: between them lies a gap, however rare they are.
    let near = |(nth, run): &(usize, Timestamp)| *nth < 2 || *run - after < TimeDelta::days(15);
    let runs: Vec<Timestamp> = runs.take(300).enumerate().take_while(near).map(|(_, run)| run).collect();
    runs.windows(2).map(|pair| pair[1] - pair[0]).max()
}

fn parse(six: &str) -> Result<Cron, BadCron> {
    CronParser::builder()
        .seconds(Seconds::Required)
        .dom_and_dow(true)
        .build()
        .parse(six)
        .map_err(|error| BadCron::Unreadable(error.to_string()))
}

/// Fires for as long as it lives.
pub(crate) struct Triggers {
    scheduler: JobScheduler,
}

impl Triggers {
    pub(crate) async fn start() -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Wakes whoever waits whenever the expression names the present moment.
    pub(crate) async fn wake_at(
        &self,
        six: &str,
        zone: Tz,
        wake: Arc<Notify>,
    ) -> Result<(), JobSchedulerError> {
        arm(self.scheduler.clone(), six.to_owned(), zone, wake).await
    }

    pub(crate) async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the cron trigger did not stop by itself");
        }
    }
}

fn arm(
    scheduler: JobScheduler,
    six: String,
    zone: Tz,
    wake: Arc<Notify>,
) -> std::pin::Pin<Box<dyn Future<Output = Result<(), JobSchedulerError>> + Send>> {
    Box::pin(async move {
        let armed = Arc::new(Armed { scheduler: scheduler.clone(), six, zone, wake, offset: offset(zone) });
        let fired = Arc::clone(&armed);
        let job = Job::new_async_tz(armed.six.as_str(), zone, move |id, _| {
            let armed = Arc::clone(&fired);
            Box::pin(async move {
                armed.wake.notify_one();
                if offset(armed.zone) != armed.offset {
                    tokio::spawn(armed_anew(armed, id));
                }
            })
        })?;
        scheduler.add(job).await?;
        Ok(())
    })
}

/// A trigger, and the offset from UTC by which the library goes on counting.
struct Armed {
    scheduler: JobScheduler,
    six: String,
    zone: Tz,
    wake: Arc<Notify>,
    offset: i32,
}

/// Replaces a trigger whose zone has changed its clocks. The new one stands before the old one goes: a failure
/// leaves a trigger that is an hour off, not none.
async fn armed_anew(armed: Arc<Armed>, id: uuid::Uuid) {
    let Armed { scheduler, six, zone, wake, .. } = &*armed;
    match arm(scheduler.clone(), six.clone(), *zone, Arc::clone(wake)).await {
        Ok(()) => {
            if let Err(error) = scheduler.remove(&id).await {
                tracing::debug!(%error, "the old cron trigger stays beside the new one; it only wakes too often");
            }
        }
        Err(error) => tracing::warn!(%error, "the cron trigger could not be armed anew"),
    }
}

/// Seconds east of UTC, now.
#[expect(clippy::disallowed_methods, reason = "the trigger library itself runs by the machine's clock")]
fn offset(zone: Tz) -> i32 {
    use chrono::{Offset, TimeZone};
    zone.offset_from_utc_datetime(&Utc::now().naive_utc()).fix().local_minus_utc()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> Timestamp {
        text.parse().unwrap_or_default()
    }

    #[test]
    fn five_fields_mean_the_first_second_of_the_minute() {
        assert_eq!(normalise("0 2,14 * * *").as_deref(), Ok("0 0 2,14 * * *"));
        assert_eq!(normalise("0 2 * *"), Err(BadCron::Fields(4)));
        assert_eq!(normalise("0 2 1 * 1"), Err(BadCron::BothDays));
        assert!(matches!(normalise("61 2 * * *"), Err(BadCron::Unreadable(_))));
    }

    #[test]
    fn a_nightly_time_stays_local_over_both_changes_of_the_clocks() {
        let (zone, two) = (chrono_tz::America::New_York, "0 30 2 * * *");
        // The night of 8 March 2026 has no 02:30; the first of November has one.
        assert_eq!(next_after(two, zone, utc("2026-03-07T12:00:00Z")), Some(utc("2026-03-08T07:00:00Z")));
        assert_eq!(next_after(two, zone, utc("2026-10-31T12:00:00Z")), Some(utc("2026-11-01T07:30:00Z")));
        assert_eq!(next_after(two, zone, utc("2026-06-01T12:00:00Z")), Some(utc("2026-06-02T06:30:00Z")));
    }

    #[test]
    fn the_longest_gap_is_the_one_that_a_deadline_must_bear() {
        let (zone, monday) = (chrono_tz::UTC, utc("2026-03-02T00:00:00Z"));
        let gap = |six| longest_gap(six, zone, monday).map(|gap| gap.num_minutes());
        assert_eq!(gap("0 0 2,14 * * *"), Some(12 * 60));
        assert_eq!(gap("0 0 2,6 * * *"), Some(20 * 60));
        assert_eq!(gap("0 0 2 * * 1"), Some(7 * 24 * 60));
        assert_eq!(gap("0 */15 * * * *"), Some(15));
        assert_eq!(gap("0 0 2 1 * *"), Some(30 * 24 * 60), "once a month, from April to May");
    }

    #[tokio::test]
    async fn a_trigger_wakes_again_and_again() {
        let Ok(triggers) = Triggers::start().await else { panic!("the trigger does not start") };
        let wake = Arc::new(Notify::new());
        let armed = triggers.wake_at("* * * * * *", chrono_tz::UTC, Arc::clone(&wake)).await;
        assert!(armed.is_ok(), "{armed:?}");
        for _ in 0..3 {
            let woken = tokio::time::timeout(std::time::Duration::from_secs(10), wake.notified()).await;
            assert!(woken.is_ok(), "the trigger fell silent");
        }
        triggers.stop().await;
    }
    proptest! {
        #[test]
        fn any_expression_is_refused_or_names_later_and_later_times_that_are_soon_found(
            expression in prop_oneof![
                any::<String>(),
                "([0-9*]{1,2}(([-/,][0-9]{1,2})|[LW?])? ){4,5}([0-9*]|MON|[0-7]#[0-9]|[0-7]L|[A-Z]{1,3})",
            ],
            zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
            second in 0_i64..4_000_000_000,
        ) {
            let begun = std::time::Instant::now();
            let mut after = chrono::DateTime::from_timestamp(second, 0).unwrap_or_default();
            if let Ok(six) = normalise(&expression) {
                prop_assert_eq!(normalise(&six), Ok(six.clone()));
                for _ in 0..3 {
                    let Some(next) = next_after(&six, zone, after) else { break };
                    prop_assert!(next > after, "{next} follows {after}");
                    after = next;
                }
                let _ = longest_gap(&six, zone, after);
            }
            prop_assert!(begun.elapsed() < std::time::Duration::from_secs(10), "it took {:?}", begun.elapsed());
        }
    }
}
