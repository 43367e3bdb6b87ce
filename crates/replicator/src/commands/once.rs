//! `once` and `resync`: one job, now. A daemon that leads the feed is asked; else it is done here.

use anyhow::Context;
use spark_domain::{FeedName, Job, Resource};
use spark_scheduler::{FeedSettings, OnceProblem, OnceReport, run_once};
use spark_store::{Error, RequestKind, Store};

use super::{operator, print};
use crate::assembly;
use crate::cli::{Once, Resync};
use crate::config::{Config, Loaded};
use crate::daemon::WHO_MIGRATES;
use crate::exit::{Exit, refuse};
use crate::shutdown::Shutdown;

pub(super) async fn run(store: &Store, loaded: &Loaded, arguments: &Once) -> anyhow::Result<Exit> {
    let Once { job, feed, resource } = arguments;
    migrate(store).await?;
    let shutdown = Shutdown::listen().context("cannot listen for signals")?;
    let mut tally = Tally::default();
    for settings in chosen(&loaded.config, feed.as_ref())? {
        let kind = RequestKind::Once { job: *job, resource: *resource };
        here_or_there(store, settings, *job, *resource, &kind, &shutdown, &mut tally).await?;
        if shutdown.soft().is_cancelled() {
            return Ok(shutdown.exit());
        }
    }
    tally.end()
}

pub(super) async fn resync(store: &Store, loaded: &Loaded, arguments: &Resync) -> anyhow::Result<Exit> {
    let Resync { feed, resource } = arguments;
    migrate(store).await?;
    let shutdown = Shutdown::listen().context("cannot listen for signals")?;
    let mut tally = Tally::default();
    for settings in chosen(&loaded.config, Some(feed))? {
        let kind = RequestKind::Resync { resource: *resource };
        here_or_there(store, settings, Job::Resync, *resource, &kind, &shutdown, &mut tally).await?;
    }
    if shutdown.soft().is_cancelled() { Ok(shutdown.exit()) } else { tally.end() }
}

/// Runs a job here, plan-only if it is a purge that nobody has to lead; used by `purge plan --fresh` too.
pub(super) async fn run_here(
    store: &Store,
    settings: FeedSettings,
    (job, resource, plan_only): (Job, Option<Resource>, bool),
    shutdown: &Shutdown,
) -> anyhow::Result<Vec<OnceReport>> {
    let metrics = assembly::metrics()?;
    let run = run_once(settings, store, &metrics, job, resource, plan_only, shutdown.soft());
    tokio::select! {
        reports = run => Ok(reports?),
        () = shutdown.hard().cancelled() => Err(refuse(shutdown.exit(), "stopped at once")),
    }
}

/// The settings of one configured feed, or of all.
pub(super) fn chosen(config: &Config, feed: Option<&FeedName>) -> anyhow::Result<Vec<FeedSettings>> {
    let feeds = config.feeds.values().filter(|configured| feed.is_none_or(|feed| *feed == configured.name));
    let settings: Vec<_> =
        feeds.map(|feed| assembly::feed(feed, &config.engine)).collect::<anyhow::Result<_>>()?;
    if settings.is_empty() {
        let which = feed.map_or_else(|| "no feed".to_owned(), |feed| format!("feed {feed} is not"));
        return Err(refuse(
            Exit::Configuration,
            format!("{which} configured; write a table [feeds.NAME], or name it with --config"),
        ));
    }
    Ok(settings)
}

/// Brings the tables up to date before the first of these commands needs them.
pub(super) async fn migrate(store: &Store) -> anyhow::Result<()> {
    if store.pending_migrations().await?.is_empty() {
        return Ok(());
    }
    match store.migrate().await {
        Ok(_) => Ok(()),
        Err(denied @ Error::Denied(_)) => Err(denied).context(WHO_MIGRATES),
        Err(error) => Err(error).context("cannot migrate the schema"),
    }
}

async fn here_or_there(
    store: &Store,
    settings: FeedSettings,
    job: Job,
    resource: Option<Resource>,
    kind: &RequestKind,
    shutdown: &Shutdown,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let feed = settings.feed().clone();
    if !operator::leads(store, &feed).await? {
        let reports = run_here(store, settings, (job, resource, false), shutdown).await?;
        if reports.is_empty() {
            let what = resource.map_or_else(|| "any resource".to_owned(), |resource| resource.to_string());
            return Err(refuse(Exit::Usage, format!("{job} is no job of {what} of feed {feed}")));
        }
        // Somebody took the lease in this moment: then it is theirs to do.
        if !reports.iter().any(|report| matches!(report.problem, Some(OnceProblem::LeaseHeld(_)))) {
            for report in reports {
                tally.add(report, job);
            }
            return Ok(());
        }
    }
    let answer = operator::ask(store, &feed, kind, operator::NOTED).await?;
    print(&format!("{feed}: the daemon answers: {answer}; `spark-replicator status` shows how it goes"));
    tally.done += 1;
    Ok(())
}

/// How many runs ended well, and the first that did not.
#[derive(Default)]
struct Tally {
    done: usize,
    problems: usize,
    first: Option<anyhow::Error>,
}

impl Tally {
    fn add(&mut self, report: OnceReport, job: Job) {
        let OnceReport { feed, resource, totals, problem } = report;
        let counts = format!(
            "{} pages, {} inserted, {} updated, {} unchanged, {} deleted, {} rejected",
            totals.pages, totals.inserted, totals.updated, totals.unchanged, totals.deleted, totals.rejected
        );
        let Some(problem) = problem else {
            print(&format!("{feed} {resource} {job}: done; {counts}"));
            self.done += 1;
            return;
        };
        print(&format!("{feed} {resource} {job}: {problem}; {counts}"));
        self.problems += 1;
        let error = match problem {
            OnceProblem::Failed(error) => anyhow::Error::new(error),
            OnceProblem::Refused(why) => refuse(Exit::Partial, why),
            OnceProblem::Lost => refuse(Exit::Failed, "the run was cut off; the log says why"),
            OnceProblem::LeaseHeld(holder) => {
                refuse(Exit::Temporary, format!("instance {holder} leads the feed"))
            }
        };
        self.first.get_or_insert(error.context(format!("{job} of {feed} {resource}")));
    }

    fn end(self) -> anyhow::Result<Exit> {
        match self.first {
            None => Ok(Exit::Done),
            Some(error) if self.done == 0 => Err(error),
            Some(error) => {
                let all = self.done + self.problems;
                Err(refuse(Exit::Partial, format!("{} of {all} failed, first: {error:#}", self.problems)))
            }
        }
    }
}
