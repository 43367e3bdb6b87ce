//! What the status page, `/status`, `/freshness` and the command `status` show: plain data, judged by pure rules.
//!
//! It is filled from the store and from nothing else, so every instance and the command line tell the same. The
//! rule: an age is never stored. Clocks are, and [`View::judge`] turns them into ages at the time of looking, so
//! that a view which can no longer be read anew looks older and not fresher.

use serde::Serialize;
use spark_domain::{Job, Timestamp};

/// Everything at one time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct View {
    pub(crate) version: &'static str,
    /// When it was read, by Postgres' clock.
    pub(crate) read_at: Timestamp,
    /// Since when the database does not answer, and why; none while it does.
    pub(crate) database_away: Option<Since>,
    pub(crate) feeds: Vec<Feed>,
    /// Runs that have ended, the latest first.
    pub(crate) runs: Vec<Run>,
    /// Purges that wait for a person.
    pub(crate) plans: Vec<Plan>,
    pub(crate) quarantine: Vec<Quarantined>,
}

/// A feed, and the worst of its resources.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
pub(crate) struct Feed {
    pub(crate) feed: String,
    pub(crate) standing: Standing,
    /// The instance that works on it.
    pub(crate) holder: Option<String>,
    pub(crate) blocked: Option<Since>,
    pub(crate) paused: Option<Since>,
    pub(crate) clock_skew_seconds: Option<f64>,
    /// What needs a person before it becomes a standing, in words.
    pub(crate) notes: Vec<String>,
    /// How its key stands; none before its first request.
    pub(crate) requests: Option<Requests>,
    /// Sets of media and other relations that wait to be fetched.
    pub(crate) relations_due: u64,
    pub(crate) oldest_relation_due_at: Option<Timestamp>,
    /// Keys that webhooks named and that wait to be read.
    pub(crate) events_unread: u64,
    pub(crate) oldest_event_received_at: Option<Timestamp>,
    pub(crate) resources: Vec<Resource>,
}

/// A resource and its four clocks.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
pub(crate) struct Resource {
    pub(crate) resource: String,
    pub(crate) standing: Standing,
    /// How far behind the feed it is; none before its first download is complete.
    pub(crate) behind_seconds: Option<f64>,
    pub(crate) objective_seconds: f64,
    pub(crate) complete_through_at: Option<Timestamp>,
    pub(crate) last_success_at: Option<Timestamp>,
    pub(crate) last_attempt_at: Option<Timestamp>,
    pub(crate) watermark_at: Option<Timestamp>,
    pub(crate) last_sweep_completed_at: Option<Timestamp>,
    pub(crate) rows: u64,
    pub(crate) off: Option<Since>,
    /// Relations that the feed has switched off.
    pub(crate) expansions_off: Vec<ExpansionOff>,
    /// The first download; none once it is complete.
    pub(crate) initial_download: Option<Progress>,
    pub(crate) running: Vec<Running>,
    /// What the last failed run said, if no later one succeeded.
    pub(crate) trouble: Option<String>,
}

/// Since when, and why or by whom.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Since {
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
}

/// What a feed's key may ask, and what was learnt about that.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Requests {
    pub(crate) per_5_minutes: u32,
    /// The share of it that may be used.
    pub(crate) share: f64,
    pub(crate) silent_until: Option<Timestamp>,
    /// When the feed last said that there were too many.
    pub(crate) refused_at: Option<Timestamp>,
    /// What had been asked in the five minutes before.
    pub(crate) refused_after: Option<u64>,
    /// What is not as it should be, in words.
    pub(crate) notes: Vec<String>,
}

/// A relation, or a part of one, that the feed does not give at the moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ExpansionOff {
    pub(crate) relation: &'static str,
    #[serde(flatten)]
    pub(crate) since: Since,
}

/// How far a download is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Progress {
    pub(crate) processed: u64,
    /// What the feed promised.
    pub(crate) expected: Option<u64>,
    /// At the pace of the run under way.
    pub(crate) eta_seconds: Option<f64>,
}

/// A job at work.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Running {
    pub(crate) job: &'static str,
    pub(crate) began_at: Timestamp,
    pub(crate) pages: u64,
    pub(crate) records: u64,
}

/// A run that has ended.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) feed: String,
    pub(crate) resource: String,
    pub(crate) job: &'static str,
    pub(crate) outcome: String,
    pub(crate) message: Option<String>,
    pub(crate) began_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    pub(crate) deleted: u64,
    pub(crate) rejected: u64,
}

/// A purge that a guard refused.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
pub(crate) struct Plan {
    pub(crate) plan: i64,
    pub(crate) feed: String,
    pub(crate) resource: String,
    pub(crate) created_at: Timestamp,
    pub(crate) refusal: Option<String>,
    pub(crate) explanation: String,
    pub(crate) candidates: u64,
    pub(crate) rows_held: u64,
    pub(crate) approved_by: Option<String>,
    pub(crate) approval_expires_at: Option<Timestamp>,
}

/// A record that could not be stored.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Quarantined {
    pub(crate) feed: String,
    pub(crate) resource: String,
    pub(crate) key: Option<String>,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) first_seen_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
}

/// How a resource stands, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Not further behind than its objective.
    Fresh,
    /// Not for this key: nothing is asked for.
    Off,
    /// Somebody paused the feed.
    Paused,
    /// Never complete, and nothing is under way.
    Waiting,
    /// Downloaded for the first time, right now.
    Downloading,
    /// Further behind than its objective.
    Behind,
    /// More than four times its objective behind: somebody is paged.
    Stale,
    /// The token is refused.
    Blocked,
}

impl Standing {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Off => "off",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Downloading => "downloading",
            Self::Behind => "behind",
            Self::Stale => "stale",
            Self::Blocked => "blocked",
        }
    }
}

impl View {
    /// A view of nothing.
    pub(super) fn empty(read_at: Timestamp) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            read_at,
            database_away: None,
            feeds: Vec::new(),
            runs: Vec::new(),
            plans: Vec::new(),
            quarantine: Vec::new(),
        }
    }

    /// Judges every resource as of `now`.
    pub(crate) fn judge(&mut self, now: Timestamp) {
        for feed in &mut self.feeds {
            for resource in &mut feed.resources {
                resource.behind_seconds = resource.complete_through_at.map(|at| seconds(now - at).max(0.0));
                resource.standing = match (&feed.blocked, &feed.paused, &resource.off) {
                    (_, _, Some(_)) => Standing::Off,
                    (Some(_), ..) => Standing::Blocked,
                    (_, Some(_), _) => Standing::Paused,
                    _ => resource.standing_alone(),
                };
                resource.estimate(now);
            }
            // What is off stays out of the feed's own standing unless there is nothing else.
            let standings = feed.resources.iter().map(|resource| resource.standing);
            let counted = standings.clone().filter(|standing| *standing != Standing::Off).max();
            feed.standing = counted.or(standings.max()).unwrap_or(Standing::Waiting);
        }
    }

    /// All resources, with the feed of each.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (&Feed, &Resource)> {
        self.feeds.iter().flat_map(|feed| feed.resources.iter().map(move |resource| (feed, resource)))
    }
}

impl Resource {
    fn standing_alone(&self) -> Standing {
        let downloads = |running: &Running| running.job == Job::InitialDownload.as_str();
        match self.behind_seconds {
            None if self.running.iter().any(downloads) => Standing::Downloading,
            None => Standing::Waiting,
            Some(behind) if behind > 4.0 * self.objective_seconds => Standing::Stale,
            Some(behind) if behind > self.objective_seconds => Standing::Behind,
            Some(_) => Standing::Fresh,
        }
    }

    /// How long the first download still takes, at the pace of the run that is at it.
    fn estimate(&mut self, now: Timestamp) {
        let Some(progress) = &mut self.initial_download else { return };
        let run = self.running.iter().find(|running| running.job == Job::InitialDownload.as_str());
        progress.eta_seconds = match (progress.expected, run) {
            (Some(expected), Some(run)) if run.records > 0 => {
                let left = expected.saturating_sub(progress.processed);
                Some(float(left) * seconds(now - run.began_at).max(0.0) / float(run.records))
            }
            _ => None,
        };
    }
}

/// A span in seconds.
pub(crate) fn seconds(span: chrono::TimeDelta) -> f64 {
    span.as_seconds_f64()
}

/// A count as a number to reckon with; what an f64 cannot hold exactly does not matter here.
#[expect(clippy::cast_precision_loss, reason = "for shares and estimates only")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn standings(view: &mut View, later_seconds: i64) -> Vec<Standing> {
        view.judge(view.read_at + chrono::TimeDelta::seconds(later_seconds));
        view.resources().map(|(_, resource)| resource.standing).collect()
    }

    #[test]
    fn a_view_that_cannot_be_read_anew_looks_older_and_not_fresher() {
        let mut view = sample::healthy();
        view.feeds.truncate(1);
        view.feeds[0].resources.truncate(1);
        assert_eq!(standings(&mut view, 0), [Standing::Fresh]);
        assert_eq!(standings(&mut view, 1_900), [Standing::Behind]);
        assert_eq!(standings(&mut view, 8_000), [Standing::Stale]);
    }

    #[test]
    fn a_refused_token_and_a_pause_go_before_ages() {
        let mut view = sample::healthy();
        view.feeds.truncate(1);
        view.feeds[0].resources.truncate(2);
        let since = Since { at: view.read_at, reason: "401".to_owned() };
        view.feeds[0].resources[1].off = Some(since.clone());
        view.feeds[0].paused = Some(since.clone());
        assert_eq!(standings(&mut view, 9_999), [Standing::Paused, Standing::Off]);
        view.feeds[0].blocked = Some(since);
        assert_eq!(standings(&mut view, 0), [Standing::Blocked, Standing::Off]);
        assert_eq!(view.feeds[0].standing, Standing::Blocked);
    }

    #[test]
    fn the_time_left_follows_from_the_pace_so_far() {
        let mut view = sample::loading();
        view.judge(view.read_at);
        let progress = view.feeds[0].resources[0].initial_download.as_ref();
        let eta = progress.and_then(|progress| progress.eta_seconds);
        // 52,000 of 124,000 records took 13 minutes.
        assert!(eta.is_some_and(|eta| (eta - 1_080.0).abs() < 1.0), "{eta:?}");
    }
}
