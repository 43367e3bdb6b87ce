//! What was tried and what it came to, for people and for scripts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    history::History,
    judge::{self, Accusation},
};

/// The whole of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of the program that was proved.
    pub program: String,
    /// Which clocks were scaled.
    pub clocks: &'static [&'static str],
    /// Steps of each history.
    pub steps: usize,
    /// How long it took.
    pub seconds: f64,
    /// Whether it was stopped before all seeds were tried.
    pub stopped: bool,
    /// Sums over all seeds.
    pub totals: Figures,
    /// Seed by seed.
    pub seeds: Vec<SeedReport>,
}

/// One seed.
#[derive(Debug, Clone, Serialize)]
pub struct SeedReport {
    /// The seed.
    pub seed: u64,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// What it consisted of.
    pub figures: Figures,
}

/// What a seed came to.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Every promise held.
    Held,
    /// A promise was broken.
    Broken(Failure),
    /// The trial itself could not be held.
    NotTried {
        /// Why.
        why: String,
    },
}

/// A broken promise, and the shortest way to it.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// What was broken, and how: a pair of promise and evidence each.
    pub accusations: Vec<(String, String)>,
    /// The fewest first steps that still break something.
    pub shortest_prefix: usize,
    /// Those steps.
    pub steps: Vec<String>,
    /// What lasted.
    pub climate: String,
    /// Where logs and configurations are kept.
    pub folder: Option<String>,
}

/// Counts of what happened; each is what its name says.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    pub deeds: BTreeMap<String, u64>,
    pub requests: u64,
    pub rows_compared: u64,
    pub rows_written: u64,
    pub claims: u64,
    pub sweeps: u64,
    pub purged: u64,
    pub leases: u64,
    pub kills: u64,
    pub terminations: u64,
    pub chaos_seconds: f64,
    pub rest_seconds: f64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        for (deed, count) in &other.deeds {
            *self.deeds.entry(deed.clone()).or_default() += count;
        }
        for (sum, more) in [
            (&mut self.requests, other.requests),
            (&mut self.rows_compared, other.rows_compared),
            (&mut self.rows_written, other.rows_written),
            (&mut self.claims, other.claims),
            (&mut self.sweeps, other.sweeps),
            (&mut self.purged, other.purged),
            (&mut self.leases, other.leases),
            (&mut self.kills, other.kills),
            (&mut self.terminations, other.terminations),
        ] {
            *sum += more;
        }
        self.chaos_seconds += other.chaos_seconds;
        self.rest_seconds += other.rest_seconds;
    }
}

impl Failure {
    /// The first accusation that a slow machine does not excuse: what has not come to rest in time differs, too.
    pub fn certain(&self) -> Option<&(String, String)> {
        let restless = self.accusations.iter().any(|(promise, _)| promise == judge::REST);
        let excused = |promise: &str| promise == judge::REST || restless && promise == judge::EQUAL;
        self.accusations.iter().find(|(promise, _)| !excused(promise))
    }

    /// What was accused after these steps.
    pub(crate) fn new(
        accusations: &[Accusation],
        steps: Vec<String>,
        history: &History,
        folder: Option<String>,
    ) -> Self {
        let accusations = accusations.iter().map(|one| (one.promise.to_owned(), one.what.clone())).collect();
        let climate = format!("{:?}", history.climate);
        Self { accusations, shortest_prefix: steps.len(), steps, climate, folder }
    }
}

impl Report {
    /// The seeds at which a promise was broken.
    pub fn broken(&self) -> impl Iterator<Item = &SeedReport> {
        self.seeds.iter().filter(|seed| matches!(seed.outcome, Outcome::Broken(_)))
    }

    /// The seeds that could not be tried.
    pub fn not_tried(&self) -> impl Iterator<Item = &SeedReport> {
        self.seeds.iter().filter(|seed| matches!(seed.outcome, Outcome::NotTried { .. }))
    }
}

impl std::fmt::Display for SeedReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, outcome, seconds, figures } = self;
        let Figures { requests, rows_compared, purged, kills, terminations, leases, .. } = figures;
        let counts = format!(
            "{rows_compared} rows equal, {requests} requests, {purged} purged, {kills} kills, {terminations} stops, \
             {leases} leases"
        );
        match outcome {
            Outcome::Held => write!(f, "seed {seed}: held in {seconds:.0} s; {counts}"),
            Outcome::NotTried { why } => write!(f, "seed {seed}: not tried: {why}"),
            Outcome::Broken(failure) => {
                write!(f, "seed {seed}: BROKEN in {seconds:.0} s, from step {} on", failure.shortest_prefix)?;
                for (promise, what) in &failure.accusations {
                    write!(f, "\n    {promise}: {what}")?;
                }
                writeln!(f, "\n    climate: {}", failure.climate)?;
                for step in &failure.steps {
                    writeln!(f, "      {step}")?;
                }
                match &failure.folder {
                    Some(folder) => write!(f, "    logs: {folder}"),
                    None => write!(f, "    logs are kept with --keep FOLDER"),
                }
            }
        }
    }
}
