//! When a job that failed is due again. A job never retries itself; this makes it due.

use std::time::Duration;

use crate::Job;

/// A sweep that proved nothing is due again after this long.
pub const VOID_SWEEP: Duration = Duration::from_mins(30);

/// How long a failed job rests: none if its next regular turn is soon enough. `failures` counts this one.
pub fn after_failure(job: Job, failures: u32, unit: Duration) -> Option<Duration> {
    match job {
        Job::Update => None,
        Job::Purge => Some(VOID_SWEEP.mul_f64(unit.as_secs_f64() / 60.0)),
        Job::InitialDownload
        | Job::Resync
        | Job::MediaRefresh
        | Job::Lookback
        | Job::Lookups
        | Job::Metadata => Some(unit * 2u32.pow(failures.saturating_sub(1).min(4))),
    }
}

/// How long a walk rests that had to start over `restarts` times without getting further: from a minute up to
/// six hours.
pub fn after_restart(restarts: u32, unit: Duration) -> Duration {
    (unit * 2u32.pow(restarts.saturating_sub(2).min(9))).min(unit * 360)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn waits_grow_and_stay_bounded() {
        assert_eq!(after_failure(Job::InitialDownload, 1, MINUTE), Some(MINUTE));
        assert_eq!(after_failure(Job::InitialDownload, 40, MINUTE), Some(MINUTE * 16));
        assert_eq!(after_failure(Job::Update, 3, MINUTE), None);
        assert_eq!(after_failure(Job::Purge, 3, MINUTE), Some(VOID_SWEEP));
        assert_eq!(after_restart(2, MINUTE), MINUTE);
        assert_eq!(after_restart(60, MINUTE), MINUTE * 360);
    }
}
