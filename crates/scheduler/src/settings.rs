//! What the scheduler is told of a feed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono_tz::Tz;
use spark_domain::plan::purge::Guard;
use spark_domain::plan::schedule;
use spark_domain::walk::Paging;
use spark_domain::{FeedName, Job, Relation, Resource};
use spark_fetcher::Api;

use crate::oauth::OAuthSettings;

/// Everything that one feed is replicated by. Built by the program from its configuration.
#[derive(Debug, Clone)]
pub struct FeedSettings {
    /// How the feed is reached.
    pub fetcher: spark_fetcher::Settings,
    /// How the feed is signed in to, if its tokens expire; else its token is the fetcher's.
    pub oauth: Option<OAuthSettings>,
    /// What is replicated, in the order of the first download.
    pub resources: Vec<Resource>,
    /// Which relations, by resource.
    pub relations: BTreeMap<Resource, Vec<Relation>>,
    /// Fields that are never stored.
    pub exclude: BTreeSet<String>,
    /// How collections are paged.
    pub paging: Paging,
    /// From the start of one update to the start of the next.
    pub update_every: Duration,
    /// How long the feed may serve stale copies; the guide's 20 minutes. It is the update's overlap, the
    /// purge's margin and the wait before a second media read.
    pub cache_window: Duration,
    /// Cron of 6 fields: when sweeps begin.
    pub purge_at: String,
    /// Cron of 6 fields: when look-backs begin.
    pub lookback_at: String,
    /// The zone of both.
    pub time_zone: Tz,
    /// How far a look-back reaches; 48 hours.
    pub lookback_span: Duration,
    /// From one reading of lookups and metadata to the next; a day.
    pub daily_every: Duration,
    /// The lag up to which an operator is content.
    pub lag_objective: Duration,
    /// How long the licence lets a removed record stay, if it names a time.
    pub removal_deadline: Option<Duration>,
    /// Requests in any five minutes, over everything that shares the key.
    pub requests_per_5_minutes: u32,
    /// How much a purge may delete without approval.
    pub purge_guard: Guard,
    /// Whether the initial download asks for relations too, against the letter of the guide.
    pub expand_on_initial_download: bool,
    /// Whether sweeps ask for ModificationTimestamp beside the key.
    pub sweep_timestamps: bool,
    /// Timings that a demo and tests shorten.
    pub pace: Pace,
}

/// The scheduler's own timings. Operators need not know them.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// A lease not renewed for this long is anyone's; 8 s.
    pub lease_life: Duration,
    /// From one renewal to the next; 2 s.
    pub lease_beat: Duration,
    /// How often a stand-by asks for the lease; 0.5 s.
    pub lease_poll: Duration,
    /// The window of the request limit; 5 min.
    pub budget_window: Duration,
    /// The unit of every wait after a failure; 1 min.
    pub retry_unit: Duration,
    /// Two refusals of the token must lie this far apart to block the feed; 1 min.
    pub refusal_patience: Duration,
    /// How often a blocked feed is asked for one record; 15 min.
    pub probe_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease_life: Duration::from_secs(8),
            lease_beat: Duration::from_secs(2),
            lease_poll: Duration::from_millis(500),
            budget_window: spark_domain::plan::budget::WINDOW,
            retry_unit: Duration::from_mins(1),
            refusal_patience: Duration::from_mins(1),
            probe_every: Duration::from_mins(15),
        }
    }
}

impl FeedSettings {
    /// The feed's name.
    pub const fn feed(&self) -> &FeedName {
        &self.fetcher.feed
    }

    /// The relations configured for a resource.
    pub fn relations_of(&self, resource: Resource) -> &[Relation] {
        self.relations.get(&resource).map_or(&[], Vec::as_slice)
    }

    /// Whether a job exists for a resource of this feed.
    pub fn has(&self, job: Job, resource: Resource) -> bool {
        schedule::applies(job, resource) && (job != Job::Metadata || self.fetcher.api.has_metadata())
    }

    /// What must equal for the stored copy to be a copy of the same thing; a difference orders a resync.
    pub fn fingerprint(&self) -> String {
        let relations: Vec<String> = self
            .relations
            .iter()
            .map(|(resource, relations)| {
                let names: Vec<_> = relations.iter().map(|relation| relation.as_str()).collect();
                format!("{resource}={}", names.join("+"))
            })
            .collect();
        let exclude: Vec<_> = self.exclude.iter().map(String::as_str).collect();
        let api = match self.fetcher.api {
            Api::Reso => "",
            Api::Spark => "api=spark ",
        };
        format!(
            "{api}base_url={} filter={:?} exclude={} relations={}",
            self.fetcher.base_url,
            self.fetcher.filter,
            exclude.join(","),
            relations.join(",")
        )
    }
}
