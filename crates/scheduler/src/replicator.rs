//! All feeds of a process: started together, stopped together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use spark_domain::{FeedName, Job, Resource};
use spark_fetcher::{Allowance, Fetcher, Pacer, SettingsError};
use spark_store::{RunTotals, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{JobError, chain};
use crate::feed::budget::{Keeper, Silences};
use crate::feed::{self, Feed};
use crate::jobs::Ended;
use crate::metrics::{Metrics, gauges};
use crate::oauth;
use crate::settings::FeedSettings;

/// Bytes of pages that the whole process may hold at once; with it 128 MiB of memory are enough for any number
/// of listings and feeds.
pub const PAGE_ALLOWANCE: usize = 48_000_000;

/// The running feeds.
#[derive(Debug)]
pub struct Replicator {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    ticks: Arc<AtomicU64>,
    fetchers: Vec<(FeedName, Fetcher)>,
}

/// What a single run of a job came to, for the command line.
#[derive(Debug)]
pub struct OnceReport {
    /// The feed.
    pub feed: FeedName,
    /// The resource.
    pub resource: Resource,
    /// What was done.
    pub totals: RunTotals,
    /// Why it failed, or why its plan waits for approval.
    pub problem: Option<OnceProblem>,
}

/// Why a single run is no success.
#[derive(Debug)]
pub enum OnceProblem {
    /// The run failed.
    Failed(JobError),
    /// The purge's plan waits for approval, for this reason.
    Refused(String),
    /// The run could not begin, or panicked.
    Lost,
    /// Another instance leads the feed.
    LeaseHeld(String),
}

impl Replicator {
    /// Starts all feeds. Fails only for settings that no waiting would mend; feed and database may be away.
    pub fn start(
        feeds: Vec<FeedSettings>,
        store: &Store,
        metrics: &Arc<Metrics>,
        page_allowance: usize,
    ) -> Result<Self, SettingsError> {
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let allowance = Allowance::new(page_allowance);
        let instance = feed::instance_name();
        let silences = Silences::new();
        let signed_in = feeds.iter().filter(|settings| settings.oauth.is_some());
        let signed_in = signed_in.map(|settings| settings.feed().clone()).collect();
        let mut fetchers = Vec::new();
        for settings in feeds {
            let (feed, keeper) =
                build(settings, store, metrics, (&allowance, &silences), &instance, (&soft, &hard), &tasks)?;
            fetchers.push((feed.settings.feed().clone(), feed.fetcher.clone()));
            // Requests are granted until the feed's last page is written.
            tasks.spawn(async move {
                feed::replicate(feed).await;
                keeper.cancel();
            });
        }
        let ticks = Arc::new(AtomicU64::new(0));
        tasks.spawn(gauges::refresh(store.clone(), Arc::clone(metrics), signed_in, soft.clone()));
        tasks.spawn(tick(Arc::clone(&ticks), soft.clone()));
        tasks.close();
        Ok(Self { soft, hard, tasks, ticks, fetchers })
    }

    /// Reads every feed's token from its source again. One that cannot be read stays as it was.
    pub async fn reload_tokens(&self) {
        for (feed, fetcher) in &self.fetchers {
            match fetcher.reload_token().await {
                Ok(true) => tracing::info!(%feed, "the token was read again: it is another one"),
                Ok(false) => tracing::info!(%feed, "the token was read again: it is the same"),
                Err(error) => tracing::warn!(
                    %feed,
                    error = chain(&error),
                    "the token cannot be read again; the one in memory is kept"
                ),
            }
        }
    }

    /// Asks every feed to finish its page and stop.
    pub fn stop_gently(&self) {
        self.soft.cancel();
    }

    /// Drops everything at once; checkpoints make that safe.
    pub fn stop_now(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Resolves once everything has stopped.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }

    /// A number that grows as long as the process' tasks are being run: what a watchdog looks at.
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }
}

/// Runs one job of one feed now, for one or all of its resources, and reports. Fails as `LeaseHeld` if another
/// instance leads the feed: it is then the one to ask.
pub async fn run_once(
    settings: FeedSettings,
    store: &Store,
    metrics: &Arc<Metrics>,
    job: Job,
    resource: Option<Resource>,
    plan_only: bool,
    stop: &CancellationToken,
) -> Result<Vec<OnceReport>, SettingsError> {
    let (soft, hard) = (stop.child_token(), CancellationToken::new());
    let tasks = TaskTracker::new();
    let allowance = Allowance::new(PAGE_ALLOWANCE);
    let name = settings.feed().clone();
    let instance = feed::instance_name();
    let shared = (&allowance, &Silences::new());
    let (feed, keeper) = build(settings, store, metrics, shared, &instance, (&soft, &hard), &tasks)?;
    let reports = feed::once::run(&feed, job, resource, plan_only).await;
    keeper.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(reports
        .into_iter()
        .map(|(resource, outcome)| {
            let (totals, problem) = match outcome {
                Ok(Some(report)) => (
                    report.totals,
                    match report.result {
                        Ok(Ended::Done) => None,
                        Ok(Ended::Refused(why)) => Some(OnceProblem::Refused(why)),
                        Err(error) => Some(OnceProblem::Failed(error)),
                    },
                ),
                Ok(None) => (RunTotals::default(), Some(OnceProblem::Lost)),
                Err(feed::once::NotBegun::LeaseHeld(holder)) => {
                    (RunTotals::default(), Some(OnceProblem::LeaseHeld(holder)))
                }
                Err(feed::once::NotBegun::Failed(error)) => {
                    (RunTotals::default(), Some(OnceProblem::Failed(error)))
                }
            };
            OnceReport { feed: name.clone(), resource, totals, problem }
        })
        .collect())
}

fn build(
    settings: FeedSettings,
    store: &Store,
    metrics: &Arc<Metrics>,
    (allowance, silences): (&Allowance, &Silences),
    instance: &Arc<str>,
    (soft, hard): (&CancellationToken, &CancellationToken),
    tasks: &TaskTracker,
) -> Result<(Feed, CancellationToken), SettingsError> {
    let (settings, fetcher, keeper) = open(settings, store, metrics, (allowance, silences), instance, tasks)?;
    let feed = Feed {
        settings,
        store: store.clone(),
        fetcher,
        metrics: Arc::clone(metrics),
        instance: Arc::clone(instance),
        soft: soft.clone(),
        hard: hard.clone(),
    };
    Ok((feed, keeper))
}

/// A fetcher whose requests count against its key's budget, until the token is cancelled.
pub(crate) fn open(
    settings: FeedSettings,
    store: &Store,
    metrics: &Arc<Metrics>,
    (allowance, silences): (&Allowance, &Silences),
    instance: &Arc<str>,
    tasks: &TaskTracker,
) -> Result<(Arc<FeedSettings>, Fetcher, CancellationToken), SettingsError> {
    let settings = oauth::keep_tokens(settings, store, instance, tasks)?;
    let (pacer, control) = Pacer::new();
    let fetcher =
        Fetcher::new(settings.fetcher.clone(), pacer, allowance.clone(), metrics.attempt_observer())?;
    metrics.declare(&settings);
    let settings = Arc::new(settings);
    let keeper = CancellationToken::new();
    let granting = Keeper {
        settings: Arc::clone(&settings),
        store: store.clone(),
        fetcher: fetcher.clone(),
        control,
        metrics: Arc::clone(metrics),
        silences: silences.clone(),
    };
    tasks.spawn(granting.keep(keeper.clone()));
    Ok((settings, fetcher, keeper))
}

async fn tick(ticks: Arc<AtomicU64>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        ticks.fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => {}
        }
    }
}

impl std::fmt::Display for OnceProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(error) => f.write_str(&chain(error)),
            Self::Refused(why) => write!(f, "the plan waits for approval: {why}"),
            Self::Lost => f.write_str("the run could not begin; the log says why"),
            Self::LeaseHeld(holder) => write!(f, "instance {holder} leads this feed"),
        }
    }
}
