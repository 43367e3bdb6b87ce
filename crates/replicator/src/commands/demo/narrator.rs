//! Tells what happens, a line every few seconds: what a newcomer would otherwise look for in three places.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use spark_domain::{Job, Resource};
use spark_store::{Error, Freshness, JobRun, RunId, Store};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::commands::print;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(2);

/// Runs that are read at a time; more do not end between two looks.
const RUNS: i64 = 200;

/// Who tells.
pub(super) struct Narrator {
    store: Store,
    began: Instant,
    told: BTreeSet<RunId>,
    complete: bool,
}

/// What ended since the last look, by job.
type Sums = BTreeMap<Job, Sum>;

#[derive(Default)]
struct Sum {
    inserted: u64,
    updated: u64,
    deleted: u64,
    unchanged: u64,
    /// Whether a run of the listings is among them.
    listings: bool,
    problem: Option<String>,
}

impl Narrator {
    pub(super) fn new(store: Store) -> Self {
        Self { store, began: Instant::now(), told: BTreeSet::new(), complete: false }
    }

    /// Tells until stopped.
    pub(super) async fn tell(mut self, stop: CancellationToken) {
        let mut turns = interval(EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(turns.tick()).await.is_some() {
            // The first looks find no tables yet.
            if let Ok(lines) = self.look().await {
                let at = self.began.elapsed().as_secs();
                for line in lines {
                    print(&format!("{:>3}:{:02}  {line}", at / 60, at % 60));
                }
            }
        }
    }

    async fn look(&mut self) -> Result<Vec<String>, Error> {
        let freshness = self.store.freshness().await?;
        let runs = self.store.recent_runs(None, RUNS).await?;
        let mut lines = Vec::new();
        if !self.complete {
            lines.extend(downloading(&freshness));
            let done = |line: &Freshness| line.complete_through_at.is_some();
            if !freshness.is_empty() && freshness.iter().all(done) {
                self.complete = true;
                let rows: i64 = freshness.iter().map(|line| line.rows).sum();
                lines.push(format!("the first download is complete: {rows} rows; from here on updates"));
            }
        }
        let sums = self.sum(&runs);
        lines.extend(sums.iter().filter_map(|(job, sum)| sum.line(*job)));
        Ok(lines)
    }

    fn sum(&mut self, runs: &[JobRun]) -> Sums {
        let mut sums = Sums::new();
        for run in runs.iter().filter(|run| run.ended_at.is_some()) {
            if !self.told.insert(run.run) {
                continue;
            }
            let sum = sums.entry(run.job).or_default();
            sum.inserted += run.totals.inserted;
            sum.updated += run.totals.updated;
            sum.deleted += run.totals.deleted;
            sum.unchanged += run.totals.unchanged;
            sum.listings |= run.resource == Resource::Property;
            if matches!(run.outcome.as_str(), "failed" | "refused") {
                let why = run.message.as_deref().unwrap_or("without a word");
                sum.problem = Some(format!("{}: {why}", run.resource));
            }
        }
        // What fell out of the window of runs cannot come again.
        let oldest = runs.iter().map(|run| run.run).min();
        self.told.retain(|run| oldest.is_some_and(|oldest| *run >= oldest));
        sums
    }
}

impl Sum {
    /// A line if something happened.
    fn line(&self, job: Job) -> Option<String> {
        let Self { inserted, updated, deleted, unchanged, listings, problem } = self;
        if let Some(problem) = problem {
            return Some(format!("{job} did not succeed, and is tried again: {problem}"));
        }
        match job {
            Job::Update if inserted + updated > 0 => {
                Some(format!("update: {inserted} new, {updated} changed, {unchanged} as we had them"))
            }
            Job::MediaRefresh if *updated > 0 => {
                Some(format!("media: fetched where it may have changed; sets that did: {updated}"))
            }
            Job::Purge if *deleted > 0 => {
                Some(format!("purge: {deleted} records left the market, were confirmed and deleted"))
            }
            Job::Purge if *listings => Some("purge: all keys were compared, nothing had left".to_owned()),
            _ => None,
        }
    }
}

/// How far the largest download is.
fn downloading(freshness: &[Freshness]) -> Option<String> {
    let line = freshness.iter().find(|line| line.resource == Resource::Property)?;
    if line.complete_through_at.is_some() {
        return None;
    }
    let of = line.download_expected.map_or_else(String::new, |expected| format!(" of {expected}"));
    Some(format!("downloading: {}{of} listings are here", line.download_processed.unwrap_or(0)))
}
