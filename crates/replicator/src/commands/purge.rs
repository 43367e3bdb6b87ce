//! `purge plan | approve`: what waits for a person, and the person's word.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use spark_domain::{FeedName, Job, Timestamp};
use spark_scheduler::OnceProblem;
use spark_store::{OpenPlan, PlanId, RequestKind, Store};

use super::operator::{self, Way};
use super::{once, print, print_json};
use crate::cli::{Purge, PurgePlan};
use crate::config::Loaded;
use crate::exit::{Exit, refuse};
use crate::shutdown::Shutdown;

/// Keys that are shown unless all are asked for.
const SHOWN: usize = 20;

/// How long an approval holds.
const APPROVAL: Duration = Duration::from_hours(24);

pub(super) async fn run(store: &Store, loaded: &Loaded, arguments: &Purge) -> anyhow::Result<Exit> {
    match arguments {
        Purge::Plan(arguments) => plan(store, loaded, arguments).await,
        Purge::Approve { plan, feed } => approve(store, loaded, PlanId(*plan), feed.as_ref()).await,
    }
}

async fn plan(store: &Store, loaded: &Loaded, arguments: &PurgePlan) -> anyhow::Result<Exit> {
    if arguments.fresh {
        refresh(store, loaded, arguments).await?;
    }
    let mut shown = Vec::new();
    for plan in store.open_plans().await? {
        let (feed, resource) = (arguments.feed.as_ref(), arguments.resource);
        if feed.is_none_or(|feed| *feed == plan.feed)
            && resource.is_none_or(|resource| resource == plan.resource)
        {
            shown.push(Plan::of(store, plan).await?);
        }
    }
    if arguments.json {
        print_json(&shown)?;
    } else if shown.is_empty() {
        print("no purge waits for approval");
    } else {
        let most = if arguments.all { usize::MAX } else { SHOWN };
        let texts: Vec<_> = shown.iter().map(|plan| plan.text(most)).collect();
        print(&texts.join("\n"));
    }
    Ok(Exit::Done)
}

/// Makes new plans, by the daemon or here.
async fn refresh(store: &Store, loaded: &Loaded, arguments: &PurgePlan) -> anyhow::Result<()> {
    let shutdown = Shutdown::listen().context("cannot listen for signals")?;
    for settings in once::chosen(&loaded.config, arguments.feed.as_ref())? {
        let feed = settings.feed().clone();
        if operator::leads(store, &feed).await? {
            let kind = RequestKind::PurgePlan { resource: arguments.resource };
            let asked = operator::ask(store, &feed, &kind, operator::SWEPT);
            let said = tokio::select! {
                said = asked => said?,
                () = shutdown.soft().cancelled() => return Err(refuse(shutdown.exit(), "stopped waiting")),
            };
            tracing::info!(%feed, "{said}");
            continue;
        }
        let job = (Job::Purge, arguments.resource, true);
        for report in once::run_here(store, settings, job, &shutdown).await? {
            match report.problem {
                None | Some(OnceProblem::Refused(_)) => {}
                Some(OnceProblem::Failed(error)) => {
                    let what = format!("cannot plan the purge of {feed} {}", report.resource);
                    return Err(anyhow::Error::new(error).context(what));
                }
                Some(problem) => return Err(refuse(Exit::Temporary, format!("{feed}: {problem}"))),
            }
        }
    }
    Ok(())
}

async fn approve(
    store: &Store,
    loaded: &Loaded,
    plan: PlanId,
    feed: Option<&FeedName>,
) -> anyhow::Result<Exit> {
    let feed = match feed {
        Some(feed) => feed.clone(),
        None => feed_of(store, plan).await?,
    };
    operator::check_feed(store, &loaded.config, &feed).await?;
    let said = match operator::way(store, &feed, &loaded.config).await? {
        Way::Daemon => {
            let kind = RequestKind::PurgeApprove { plan };
            operator::ask(store, &feed, &kind, operator::NOTED).await?
        }
        Way::Here(lease) => {
            let written = async {
                let resource = store.approve_plan(&lease, plan, &operator::operator(), APPROVAL).await?;
                if let Some(resource) = resource {
                    let now = store.now().await?;
                    store.set_due(&lease, resource, Job::Purge, Some(now)).await?;
                }
                Ok::<_, spark_store::Error>(resource)
            }
            .await;
            store.release_lease(&lease).await?;
            let Some(resource) = written? else { return Err(gone(plan, &feed)) };
            format!(
                "plan {} of {resource} is approved for 24 hours; no daemon leads the feed now, and one that starts \
                 sweeps at once and deletes what that sweep lacks too",
                plan.0
            )
        }
    };
    print(&format!("{feed}: {said}"));
    Ok(Exit::Done)
}

fn gone(plan: PlanId, feed: &FeedName) -> anyhow::Error {
    let message = format!("{feed} has no open plan {}; `purge plan` shows what is open", plan.0);
    refuse(Exit::Failed, message)
}

async fn feed_of(store: &Store, plan: PlanId) -> anyhow::Result<FeedName> {
    let open = store.open_plans().await?;
    let found = open.into_iter().find(|open| open.id == plan);
    found.map(|open| open.feed).ok_or_else(|| {
        let message = format!("no plan {} is open; `purge plan` shows what is", plan.0);
        refuse(Exit::Failed, message)
    })
}

/// A plan as people and scripts see it.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
struct Plan {
    plan: i64,
    feed: String,
    resource: &'static str,
    created_at: Timestamp,
    /// Which guard refused it; none if it may be carried out.
    refusal: Option<String>,
    explanation: String,
    rows_held: i64,
    listed: i64,
    candidates: i64,
    approved_by: Option<String>,
    approval_expires_at: Option<Timestamp>,
    keys: Vec<String>,
}

impl Plan {
    async fn of(store: &Store, open: OpenPlan) -> anyhow::Result<Self> {
        let whole = store.open_plan(&open.feed, open.resource).await?;
        // It may have been replaced by a newer one since the list was read.
        let whole = whole.filter(|whole| whole.id == open.id);
        let keys = whole.map(|whole| whole.candidates.iter().map(|one| one.key.to_string()).collect());
        Ok(Self {
            plan: open.id.0,
            feed: open.feed.to_string(),
            resource: open.resource.as_str(),
            created_at: open.created_at,
            refusal: open.refusal,
            explanation: open.explanation,
            rows_held: open.rows_held,
            listed: open.listed,
            candidates: open.candidates,
            approved_by: open.approved_by,
            approval_expires_at: open.approval_expires_at,
            keys: keys.unwrap_or_default(),
        })
    }

    fn text(&self, most: usize) -> String {
        let Self { plan, feed, resource, candidates, rows_held, listed, .. } = self;
        let made = self.created_at.format("%F %T UTC");
        let mut out = format!("plan {plan} of {feed} {resource}, made {made}\n  {}\n", self.explanation);
        let _ = writeln!(out, "  {candidates} of {rows_held} rows would go; the feed listed {listed} keys");
        for line in self.keys[..self.keys.len().min(most)].chunks(5) {
            let _ = writeln!(out, "    {}", line.join(" "));
        }
        if self.keys.len() > most {
            let _ = writeln!(out, "    and {} more; --all shows them", self.keys.len() - most);
        }
        let _ = match (&self.refusal, self.approved_by.as_ref().zip(self.approval_expires_at)) {
            (_, Some((by, until))) => {
                writeln!(out, "  approved by {by} until {}", until.format("%F %T UTC"))
            }
            (Some(guard), None) => {
                let approve = format!("spark-replicator purge approve {plan} --feed {feed}");
                writeln!(out, "  refused by the guard {guard}; to allow it: {approve}")
            }
            (None, None) => writeln!(out, "  within the guards; the next purge carries it out"),
        };
        out
    }
}
