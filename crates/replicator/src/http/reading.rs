//! Reads a view from the store. Every table is read on its own: a view is for people, not for decisions.

use std::collections::{BTreeMap, BTreeSet};

use spark_domain::plan::budget::is_used_elsewhere;
use spark_domain::{FeedName, Job, Timestamp};
use spark_store::{
    BudgetRival, BudgetState, Error, ExpansionOff, Freshness, JobRun, OpenPlan, ResourceState, Store,
    TokenLife,
};

use super::latest::Objective;
use super::view::{
    self, Feed, Plan, Progress, Quarantined, Requests, Resource, Run, Running, Since, Standing, View,
};

/// Runs that are looked at: enough that each resource's last ones are among them.
const RUNS_READ: i64 = 200;

/// Ended runs that are shown.
const RUNS_SHOWN: usize = 15;

/// Records in quarantine that are shown, per feed.
const QUARANTINE_SHOWN: i64 = 20;

/// Reads everything.
pub(super) async fn read(store: &Store, objectives: &BTreeMap<FeedName, Objective>) -> Result<View, Error> {
    let mut view = View::empty(store.now().await?);
    let freshness = store.freshness().await?;
    let runs = store.recent_runs(None, RUNS_READ).await?;
    view.plans = store.open_plans().await?.iter().map(plan).collect();
    let tokens = store.oauth_token_lives().await?;
    let names: BTreeSet<&FeedName> =
        objectives.keys().chain(freshness.iter().map(|line| &line.feed)).collect();
    for name in names {
        let lines: Vec<&Freshness> = freshness.iter().filter(|line| line.feed == *name).collect();
        let holder = store.lease_holder(name).await?.filter(|holder| holder.alive);
        let queue = store.relation_queue(name).await?;
        let events = store.event_queue(name).await?;
        let states = store.resources(name).await?;
        let state = store.feed_state(name).await?;
        let expansions = store.expansions_off(name).await?;
        let budget = store.budget_state(name).await?;
        let since = |at, reason: &str| Since { at, reason: reason.to_owned() };
        let objective = objectives.get(name);
        view.feeds.push(Feed {
            feed: name.to_string(),
            standing: Standing::Waiting,
            holder: holder.map(|holder| holder.holder),
            blocked: lines.iter().find_map(|line| line.blocked.as_ref()).map(|b| since(b.at, &b.reason)),
            paused: lines.iter().find_map(|line| line.paused.as_ref()).map(|p| since(p.at, &p.by)),
            clock_skew_seconds: state.and_then(|state| state.clock_skew_seconds),
            notes: tokens
                .iter()
                .filter(|life| life.feed == *name)
                .filter_map(|life| cannot_be_refreshed(life, view.read_at))
                .collect(),
            requests: budget.as_ref().map(|budget| requests(budget, view.read_at)),
            relations_due: whole(queue.due),
            oldest_relation_due_at: queue.oldest_due_at,
            events_unread: whole(events.unread),
            oldest_event_received_at: events.oldest_received_at,
            resources: lines
                .iter()
                .map(|line| resource(line, &states, &expansions, &runs, objective))
                .collect(),
        });
        let quarantined = store.quarantine(name, QUARANTINE_SHOWN).await?;
        view.quarantine.extend(quarantined.into_iter().map(|record| Quarantined {
            feed: name.to_string(),
            resource: record.resource.to_string(),
            key: record.key.map(|key| key.to_string()),
            reason: record.reason,
            message: record.message,
            first_seen_at: record.first_seen_at,
            last_seen_at: record.last_seen_at,
        }));
    }
    view.runs = runs.iter().filter(|run| tells(run)).filter_map(ended).collect();
    view.runs.sort_by_key(|run| std::cmp::Reverse(run.ended_at));
    view.runs.truncate(RUNS_SHOWN);
    view.judge(view.read_at);
    Ok(view)
}

/// What is said of a token that still works and has no successor. The reason names who is to do what.
fn cannot_be_refreshed(life: &TokenLife, now: Timestamp) -> Option<String> {
    let reason = life.refused.as_ref()?;
    let at = life.expires_at.format("%F %T UTC");
    Some(if life.expires_at > now {
        format!("the access token cannot be refreshed and lasts until {at}; after that {reason}")
    } else {
        format!("the access token could not be refreshed and ended at {at}: {reason}")
    })
}

/// How the key stands. A refusal is news for as long as it slows the key down.
fn requests(budget: &BudgetState, now: Timestamp) -> Requests {
    let mut notes = Vec::new();
    if let Some((_, spent)) = budget.throttled.filter(|_| budget.share < 1.0) {
        let share = (budget.share * 100.0).round();
        let why = if is_used_elsewhere(spent, budget.limit) { "; something else uses this key" } else { "" };
        notes.push(format!(
            "the feed refused after {spent} requests in 5 minutes, {share} % of the pace is used{why}"
        ));
    }
    notes.extend(budget.rivals.iter().map(|rival| shared(rival, budget.limit)));
    Requests {
        per_5_minutes: budget.limit,
        share: budget.share,
        silent_until: budget.silent_until.filter(|until| *until > now),
        refused_at: budget.throttled.map(|(at, _)| at),
        refused_after: budget.throttled.map(|(_, spent)| spent),
        notes,
    }
}

/// What is said of a feed that uses the same key.
fn shared(rival: &BudgetRival, ours: u32) -> String {
    let BudgetRival { feed, holder, limit, elsewhere } = rival;
    let whose = if *elsewhere { format!(" of another process, {holder},") } else { String::new() };
    let said = format!("feed {feed}{whose} uses the same key and shares its requests");
    if *limit == ours { said } else { format!("{said}, with requests_per_5_minutes = {limit}") }
}

fn resource(
    line: &Freshness,
    states: &[ResourceState],
    expansions: &[ExpansionOff],
    runs: &[JobRun],
    objective: Option<&Objective>,
) -> Resource {
    let state = states.iter().find(|state| state.resource == line.resource);
    let ours = || runs.iter().filter(|run| run.feed == line.feed && run.resource == line.resource);
    let first = line.initial_download_completed_at.is_none().then(|| Progress {
        processed: line.download_processed.unwrap_or(0),
        expected: line.download_expected,
        eta_seconds: None,
    });
    Resource {
        resource: line.resource.to_string(),
        standing: Standing::Waiting,
        behind_seconds: None,
        objective_seconds: objective_seconds(line.resource, objective),
        complete_through_at: line.complete_through_at,
        last_success_at: line.last_success_at,
        last_attempt_at: line.last_attempt_at,
        watermark_at: line.watermark_at,
        last_sweep_completed_at: state.and_then(|state| state.last_sweep_completed_at),
        rows: whole(line.rows),
        off: line.off.as_ref().map(|off| Since { at: off.at, reason: off.reason.clone() }),
        expansions_off: expansions
            .iter()
            .filter(|expansion| expansion.resource == line.resource)
            .map(|expansion| view::ExpansionOff {
                relation: expansion.expansion.as_str(),
                since: Since { at: expansion.off.at, reason: expansion.off.reason.clone() },
            })
            .collect(),
        initial_download: first,
        running: ours().filter(|run| run.ended_at.is_none()).map(running).collect(),
        // What is turned off says why itself.
        trouble: if line.off.is_none() { trouble(ours()) } else { None },
    }
}

fn objective_seconds(resource: spark_domain::Resource, objective: Option<&Objective>) -> f64 {
    let objective = objective.copied().unwrap_or(Objective::DEFAULT);
    if resource.has_updates() { objective.lag } else { 2 * objective.daily_every }.as_secs_f64()
}

/// What the newest ended run of some job says, if that run failed.
fn trouble<'a>(runs: impl Iterator<Item = &'a JobRun>) -> Option<String> {
    let mut seen = BTreeSet::new();
    let newest = runs.filter(|run| run.ended_at.is_some()).filter(|run| seen.insert(run.job));
    let mut failed = newest.filter(|run| matches!(run.outcome.as_str(), "failed" | "refused"));
    failed.find_map(|run| run.message.as_ref().map(|message| format!("{}: {message}", run.job)))
}

fn running(run: &JobRun) -> Running {
    let totals = &run.totals;
    Running {
        job: run.job.as_str(),
        began_at: run.began_at,
        pages: totals.pages,
        records: totals.inserted + totals.updated + totals.unchanged + totals.older + totals.rejected,
    }
}

/// Whether a run is worth a line: updates that found nothing would push everything else off the page.
fn tells(run: &JobRun) -> bool {
    let totals = &run.totals;
    let quiet =
        matches!(run.job, Job::Update | Job::MediaRefresh | Job::Lookback) && run.outcome == "success";
    !quiet || totals.inserted + totals.updated + totals.deleted + totals.rejected > 0
}

fn ended(run: &JobRun) -> Option<Run> {
    let totals = &run.totals;
    Some(Run {
        feed: run.feed.to_string(),
        resource: if run.job == Job::Metadata { String::new() } else { run.resource.to_string() },
        job: run.job.as_str(),
        outcome: run.outcome.clone(),
        message: run.message.clone(),
        began_at: run.began_at,
        ended_at: run.ended_at?,
        inserted: totals.inserted,
        updated: totals.updated,
        unchanged: totals.unchanged,
        deleted: totals.deleted,
        rejected: totals.rejected,
    })
}

fn plan(plan: &OpenPlan) -> Plan {
    let approved = plan.approved_by.as_ref().zip(plan.approval_expires_at);
    Plan {
        plan: plan.id.0,
        feed: plan.feed.to_string(),
        resource: plan.resource.to_string(),
        created_at: plan.created_at,
        refusal: plan.refusal.clone(),
        explanation: plan.explanation.clone(),
        candidates: whole(plan.candidates),
        rows_held: whole(plan.rows_held),
        approved_by: approved.map(|(by, _)| by.clone()),
        approval_expires_at: approved.map(|(_, expires_at)| expires_at),
    }
}

fn whole(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
