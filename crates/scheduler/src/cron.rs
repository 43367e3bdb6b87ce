//! Cron expressions: what they mean, and the library that fires them.
//!
//! `tokio-cron-scheduler` is a trigger only. A fire wakes a task, and wakes that pile up are one; whether a job
//! is due is decided by the plan from what the store says. So a fire too many costs nothing, and a fire that
//! is lost is made good by the task's own alarm a little later. Each fire re-arms its trigger, because the
//! library computes only the first fire by the zone's rules and later ones by the offset of that day.

use std::sync::Arc;

use chrono::Utc;
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
        let (again, expression) = (scheduler.clone(), six.clone());
        let job = Job::new_async_tz(six.as_str(), zone, move |fired, _| {
            let (scheduler, six, wake) = (again.clone(), expression.clone(), Arc::clone(&wake));
            Box::pin(async move {
                wake.notify_one();
                // Armed anew before the old one goes: a failure leaves a trigger that may be an hour off, not none.
                match arm(scheduler.clone(), six, zone, wake).await {
                    Ok(()) => {
                        let _ = scheduler.remove(&fired).await;
                    }
                    Err(error) => tracing::warn!(%error, "the cron trigger could not be re-armed"),
                }
            })
        })?;
        scheduler.add(job).await?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
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
}
