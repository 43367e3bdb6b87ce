//! When a job is due.
//!
//! Each job of each resource is looked at alone; who runs first when requests are scarce is the budget's
//! business. What was missed while we were down is due at once, and once only.

use std::time::Duration;

use crate::{Job, Resource, Timestamp};

/// What is known of a job of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// When the resource was first completed; none while it never was.
    pub downloaded_at: Option<Timestamp>,
    /// When the job last began.
    pub last_attempt_at: Option<Timestamp>,
    /// When it last ended well.
    pub last_success_at: Option<Timestamp>,
    /// An explicit order: a retry after a failure, an approval, a word of the operator.
    pub ordered_at: Option<Timestamp>,
    /// A walk was interrupted and waits to go on.
    pub in_walk: bool,
    /// The next time that the job's cron names after its last success (or after the download).
    pub cron_at: Option<Timestamp>,
    /// When the next relation is due; for media_refresh.
    pub relation_due_at: Option<Timestamp>,
    /// Whether keys wait that no relation was ever fetched for; for media_refresh.
    pub fill_pending: bool,
}

/// The intervals of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// From the start of one update to the start of the next.
    pub update_every: Duration,
    /// The same for lookups and metadata; a day.
    pub daily_every: Duration,
}

/// Whether a job exists for a resource.
pub const fn applies(job: Job, resource: Resource) -> bool {
    match job {
        Job::InitialDownload | Job::Update | Job::Lookback | Job::Purge | Job::Resync => {
            resource.has_updates()
        }
        Job::MediaRefresh => {
            matches!(resource, Resource::Property | Resource::Member | Resource::Office | Resource::Teams)
        }
        Job::Lookups => matches!(resource, Resource::Lookup),
        // One document describes the whole feed; it is kept under its first resource.
        Job::Metadata => matches!(resource, Resource::Property),
    }
}

/// When the job is due: a time in the past means now, none that nothing is known to make it due.
pub fn due_at(job: Job, facts: &Facts, intervals: &Intervals) -> Option<Timestamp> {
    let at_once = Some(Timestamp::UNIX_EPOCH);
    let downloaded = facts.downloaded_at.is_some();
    match job {
        Job::InitialDownload if downloaded => None,
        Job::InitialDownload => facts.ordered_at.or(at_once),
        Job::Lookups | Job::Metadata => facts.ordered_at.or(match facts.last_success_at {
            None => at_once,
            Some(at) => Some(at + intervals.daily_every),
        }),
        _ if !downloaded => None,
        Job::Update => {
            let turn = facts.last_attempt_at.map(|at| at + intervals.update_every);
            earliest(facts.ordered_at, turn.or(at_once))
        }
        // An order outweighs the cron: it is how a void sweep waits, although its time has come already.
        Job::Lookback | Job::Purge => {
            facts.ordered_at.or(if facts.in_walk { at_once } else { facts.cron_at })
        }
        // A failure's order outweighs the queue: what is due stays due meanwhile.
        Job::MediaRefresh => {
            facts.ordered_at.or(if facts.fill_pending { at_once } else { facts.relation_due_at })
        }
        Job::Resync => facts.ordered_at.or(facts.in_walk.then_some(Timestamp::UNIX_EPOCH)),
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVALS: Intervals =
        Intervals { update_every: Duration::from_mins(5), daily_every: Duration::from_hours(24) };

    fn at(seconds: i64) -> Option<Timestamp> {
        chrono::DateTime::from_timestamp(seconds, 0)
    }

    #[test]
    fn nothing_but_the_download_is_due_before_it_is_complete() {
        let fresh = Facts::default();
        for job in Job::ALL {
            let due = due_at(job, &fresh, &INTERVALS).is_some();
            assert_eq!(due, matches!(job, Job::InitialDownload | Job::Lookups | Job::Metadata), "{job}");
        }
    }

    #[test]
    fn an_update_is_due_an_interval_after_its_last_start_whatever_became_of_it() {
        let facts = Facts { downloaded_at: at(0), last_attempt_at: at(1000), ..Facts::default() };
        assert_eq!(due_at(Job::Update, &facts, &INTERVALS), at(1300));
    }

    #[test]
    fn a_purge_missed_while_down_is_due_at_its_missed_time() {
        let facts = Facts { downloaded_at: at(0), cron_at: at(7200), ..Facts::default() };
        assert_eq!(due_at(Job::Purge, &facts, &INTERVALS), at(7200));
    }

    #[test]
    fn a_void_sweep_waits_for_its_retry_although_its_cron_time_has_passed() {
        let missed =
            Facts { downloaded_at: at(0), last_success_at: at(0), cron_at: at(7200), ..Facts::default() };
        let void = Facts { ordered_at: at(9000), ..missed };
        assert_eq!(due_at(Job::Purge, &void, &INTERVALS), at(9000));
    }

    #[test]
    fn an_interrupted_sweep_goes_on_at_once_unless_its_retry_is_ordered_for_later() {
        let facts = Facts { downloaded_at: at(0), in_walk: true, cron_at: at(9000), ..Facts::default() };
        assert_eq!(due_at(Job::Purge, &facts, &INTERVALS), at(0));
        let ordered = Facts { ordered_at: at(5000), ..facts };
        assert_eq!(due_at(Job::Purge, &ordered, &INTERVALS), at(5000));
    }
}
