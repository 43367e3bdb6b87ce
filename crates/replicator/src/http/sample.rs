//! Made-up views for tests and for looking at the page.

use chrono::TimeDelta;
use spark_domain::Timestamp;

use super::view::{
    ExpansionOff, Feed, Plan, Progress, Quarantined, Requests, Resource, Run, Running, Since, Standing, View,
};

const NAMES: [(&str, u64); 6] = [
    ("Property", 124_310),
    ("Member", 31_877),
    ("Office", 4_120),
    ("Teams", 902),
    ("OpenHouse", 611),
    ("Lookup", 8_455),
];

/// Two feeds, all fresh.
pub(crate) fn healthy() -> View {
    let now = now();
    let mut view = View {
        version: "0.1.0",
        read_at: now,
        database_away: None,
        feeds: vec![feed(now, "beaches"), feed(now, "stellar")],
        runs: runs(now),
        plans: Vec::new(),
        quarantine: Vec::new(),
    };
    view.feeds[0].resources[0].running = vec![running(now, "media_refresh", 4, 380)];
    view.feeds[0].relations_due = 212;
    view.feeds[0].oldest_relation_due_at = Some(ago(now, 95));
    view.judge(now);
    view
}

/// A first download under way.
pub(crate) fn loading() -> View {
    let mut view = healthy();
    let now = view.read_at;
    view.feeds.truncate(1);
    view.runs.truncate(1);
    for (i, resource) in view.feeds[0].resources.iter_mut().enumerate() {
        resource.running.clear();
        if i < 2 {
            resource.complete_through_at = None;
            resource.last_sweep_completed_at = None;
            let (processed, expected) = if i == 0 { (52_000, Some(124_000)) } else { (0, None) };
            resource.rows = processed;
            resource.initial_download = Some(Progress { processed, expected, eta_seconds: None });
        }
    }
    view.feeds[0].resources[0].running = vec![running(now, "initial_download", 520, 52_000)];
    view.judge(now);
    view
}

/// Much that needs a person.
pub(crate) fn broken() -> View {
    let mut view = healthy();
    let now = view.read_at;
    let since = |seconds, reason: &str| Some(Since { at: ago(now, seconds), reason: reason.to_owned() });
    view.database_away = since(40, "Postgres cannot be reached: connection refused (127.0.0.1:5432)");
    view.feeds[0].resources[0].complete_through_at = Some(ago(now, 11_520));
    view.feeds[0].resources[0].trouble =
        Some("the feed did not deliver: HTTP 503 from Property, six times in a row".to_owned());
    view.feeds[0].resources[1].complete_through_at = Some(ago(now, 3_000));
    view.feeds[0].resources[3].off = since(86_400, "the key may not read Teams (1500)");
    let room = Since { at: ago(now, 7_200), reason: "the feature is off for this MLS (1505)".to_owned() };
    view.feeds[0].resources[0].expansions_off = vec![ExpansionOff { relation: "Room", since: room }];
    view.feeds[0].requests = Some(Requests {
        per_5_minutes: 1_200,
        share: 0.7,
        silent_until: None,
        refused_at: Some(ago(now, 900)),
        refused_after: Some(311),
        notes: vec!["the feed refused after 311 requests in 5 minutes, 70 % of the pace is used".to_owned()],
    });
    view.feeds[0].notes = vec![
        "the access token cannot be refreshed and lasts until 2026-11-22 22:00:00 UTC; after that feed beaches is \
         signed out: invalid_grant; run `spark-replicator auth login beaches`"
            .to_owned(),
    ];
    view.feeds[0].events_unread = 37;
    view.feeds[0].oldest_event_received_at = Some(ago(now, 3_000));
    view.feeds[1].blocked = since(5_400, "the token was refused twice (401, code 1020)");
    view.plans = vec![Plan {
        plan: 7,
        feed: "beaches".to_owned(),
        resource: "Property".to_owned(),
        created_at: ago(now, 7_000),
        refusal: Some("max_ratio".to_owned()),
        explanation: "8,204 of 124,310 records (6.6 %) are gone from the feed; the guard allows 5,000"
            .to_owned(),
        candidates: 8_204,
        rows_held: 124_310,
        approved_by: None,
        approval_expires_at: None,
    }];
    view.quarantine = vec![Quarantined {
        feed: "beaches".to_owned(),
        resource: "Property".to_owned(),
        key: Some("20260114093015123456000000".to_owned()),
        reason: "refused".to_owned(),
        message: "value overflows numeric format (22003) <script>".to_owned(),
        first_seen_at: ago(now, 90_000),
        last_seen_at: ago(now, 300),
    }];
    view.runs.insert(
        0,
        Run {
            outcome: "failed".to_owned(),
            message: Some("the feed did not deliver: HTTP 503".to_owned()),
            ..view.runs[0].clone()
        },
    );
    view.judge(now);
    view
}

fn feed(now: Timestamp, name: &str) -> Feed {
    let resources = NAMES.into_iter().enumerate().map(|(i, (name, rows))| {
        let behind = [70, 130, 170, 40, 200, 30_000][i];
        Resource {
            resource: name.to_owned(),
            standing: Standing::Waiting,
            behind_seconds: None,
            objective_seconds: if name == "Lookup" { 172_800.0 } else { 1_800.0 },
            complete_through_at: Some(ago(now, behind)),
            last_success_at: Some(ago(now, behind - 5)),
            last_attempt_at: Some(ago(now, behind - 5)),
            watermark_at: Some(ago(now, behind + 60)),
            last_sweep_completed_at: Some(ago(now, 20_000)),
            rows,
            off: None,
            expansions_off: Vec::new(),
            initial_download: None,
            running: Vec::new(),
            trouble: None,
        }
    });
    Feed {
        feed: name.to_owned(),
        standing: Standing::Waiting,
        holder: Some("mls-1/8123".to_owned()),
        blocked: None,
        paused: None,
        clock_skew_seconds: Some(0.4),
        notes: Vec::new(),
        requests: None,
        relations_due: 0,
        oldest_relation_due_at: None,
        events_unread: 0,
        oldest_event_received_at: None,
        resources: resources.collect(),
    }
}

fn runs(now: Timestamp) -> Vec<Run> {
    let jobs =
        [("Property", "update"), ("Member", "update"), ("Property", "media_refresh"), ("Property", "purge")];
    let run = |i: usize| {
        let age = 60 * i64::try_from(i).unwrap_or(0);
        let (resource, job) = jobs[i % jobs.len()];
        Run {
            feed: if i.is_multiple_of(3) { "stellar" } else { "beaches" }.to_owned(),
            resource: resource.to_owned(),
            job,
            outcome: "success".to_owned(),
            message: None,
            began_at: ago(now, age + 75),
            ended_at: ago(now, age + 71),
            inserted: 3,
            updated: 41,
            unchanged: 812,
            deleted: if job == "purge" { 12 } else { 0 },
            rejected: 0,
        }
    };
    (0..8).map(run).collect()
}

fn running(now: Timestamp, job: &'static str, pages: u64, records: u64) -> Running {
    Running { job, began_at: ago(now, 780), pages, records }
}

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_790_000_000, 0).unwrap_or_default()
}

fn ago(now: Timestamp, seconds: i64) -> Timestamp {
    now - TimeDelta::seconds(seconds)
}
