//! `prove`: tries random histories with random faults on this very program.

use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context;
use spark_prover::{Report, Settings, prove};
use spark_simulator::Dialect;

use super::print;
use crate::cli::{Prove, ProvedApi};
use crate::exit::Exit;
use crate::shutdown::Shutdown;

pub(super) async fn run(arguments: &Prove) -> anyhow::Result<Exit> {
    let lanes = match arguments.lanes {
        Some(lanes) => lanes.into(),
        None => 2 * available_parallelism().map_or(1, usize::from),
    };
    let settings = Settings {
        program: std::env::current_exe().context("cannot find this program's own file")?,
        dialect: match arguments.api {
            ProvedApi::Reso => Dialect::Reso,
            ProvedApi::Spark => Dialect::Spark,
        },
        other_program: arguments.beside.clone(),
        environment: Vec::new(),
        failpoints: None,
        pgbouncer: arguments.pgbouncer.clone(),
        seeds: arguments.seeds.clone(),
        steps: arguments.steps.into(),
        instances: arguments.instances.into(),
        lanes,
        keep: arguments.keep.clone(),
        shrink: !arguments.no_shrink,
        stop_at_first: arguments.first,
    };
    #[cfg(feature = "failpoints")]
    let settings = Settings { failpoints: Some(sabotage::failpoints()), ..settings };
    let shutdown = Shutdown::listen().context("cannot listen for signals")?;
    match try_all(settings, arguments, &shutdown).await {
        Err(_) if shutdown.soft().is_cancelled() => Ok(shutdown.exit()),
        tried => tried,
    }
}

async fn try_all(settings: Settings, arguments: &Prove, shutdown: &Shutdown) -> anyhow::Result<Exit> {
    let stop = shutdown.soft();
    #[cfg(feature = "failpoints")]
    if arguments.points {
        return sabotage::kill_at_every_point(settings, arguments, stop).await;
    }
    #[cfg(feature = "breakages")]
    if let Some(breakages) = &arguments.breakages {
        return sabotage::break_promises(&settings, breakages, stop).await;
    }
    #[cfg(feature = "breakages")]
    let settings = sabotage::broken(settings, arguments.breakage);
    let report = prove(settings, Arc::new(|seed| print(&seed.to_string())), stop.cancelled()).await?;
    write(arguments, &report)?;
    let exit = conclude(&report);
    Ok(if report.stopped { shutdown.exit() } else { exit })
}

fn write(arguments: &Prove, report: &impl serde::Serialize) -> anyhow::Result<()> {
    let Some(file) = &arguments.report else { return Ok(()) };
    let text = serde_json::to_string_pretty(report).context("cannot write JSON")?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn conclude(report: &Report) -> Exit {
    let (broken, not_tried) = (report.broken().count(), report.not_tried().count());
    let totals = &report.totals;
    print(&format!(
        "{} seeds of {} steps in {:.0} s: {} broken, {} not tried; {} rows equal at rest, {} claims, {} sweeps, \
         {} purges, {} requests, {} kills and {} stops",
        report.seeds.len(),
        report.steps,
        report.seconds,
        broken,
        not_tried,
        totals.rows_compared,
        totals.claims,
        totals.sweeps,
        totals.purged,
        totals.requests,
        totals.kills,
        totals.terminations
    ));
    if broken + not_tried == 0 { Exit::Done } else { Exit::Failed }
}

/// What only a build that can be sabotaged knows.
#[cfg(any(feature = "failpoints", feature = "breakages"))]
mod sabotage {
    use tokio_util::sync::CancellationToken;

    use super::{Arc, Exit, Prove, Settings, print, prove, write};

    /// The points at which this program can be told to kill itself.
    #[cfg(feature = "failpoints")]
    pub(super) fn failpoints() -> spark_prover::Failpoints {
        // Migrations are over when a trial begins, and have a test of their own; what ends in `_not` commits
        // nothing; a trial's feed does not sign in, receives no events and keeps to its paging.
        const ELSEWHERE: [&str; 9] = [
            "migrate",
            "set_paging",
            "sign_in",
            "claim_oauth_refresh",
            "release_oauth_refresh",
            "rotate_oauth_token",
            "refuse_oauth_token",
            "receive_events",
            "settle_events",
        ];
        let boundaries = spark_store::failpoint::BOUNDARIES
            .iter()
            .filter(|name| !ELSEWHERE.contains(name) && !name.ends_with("_not"));
        let points =
            boundaries.flat_map(|name| [format!("{name}.before"), format!("{name}.after")]).collect();
        spark_prover::Failpoints { variable: crate::sabotage::FAILPOINT, points }
    }

    #[cfg(feature = "failpoints")]
    pub(super) async fn kill_at_every_point(
        settings: Settings,
        arguments: &Prove,
        stop: &CancellationToken,
    ) -> anyhow::Result<Exit> {
        let report = spark_prover::prove_points(settings, stop.cancelled()).await?;
        write(arguments, &report)?;
        for failure in &report.broken {
            print(&format!("BROKEN after kills at {}", failure.steps.join(", ")));
            failure.accusations.iter().for_each(|(promise, what)| print(&format!("    {promise}: {what}")));
        }
        for point in &report.unreached {
            print(&format!("never reached: {point}"));
        }
        print(&format!(
            "killed at {} of {} points in {:.0} s: {} trials broken",
            report.reached.len(),
            report.reached.len() + report.unreached.len(),
            report.seconds,
            report.broken.len()
        ));
        // Of a point that was not reached nothing is proved, and nothing refuted.
        Ok(match (report.broken.is_empty(), report.unreached.is_empty()) {
            (true, true) => Exit::Done,
            (true, false) => Exit::Partial,
            (false, _) => Exit::Failed,
        })
    }

    /// The same program with one promise broken.
    #[cfg(feature = "breakages")]
    pub(super) fn broken(mut settings: Settings, breakage: Option<spark_domain::Breakage>) -> Settings {
        let variable =
            breakage.map(|breakage| (crate::sabotage::BREAKAGE.to_owned(), breakage.as_str().to_owned()));
        settings.environment.extend(variable);
        settings
    }

    /// A prover that never fails proves nothing: each promise is broken in turn, and the seeds must find it out.
    #[cfg(feature = "breakages")]
    pub(super) async fn break_promises(
        settings: &Settings,
        breakages: &[spark_domain::Breakage],
        stop: &CancellationToken,
    ) -> anyhow::Result<Exit> {
        let mut all_found = true;
        let all = spark_domain::Breakage::ALL;
        for breakage in if breakages.is_empty() { all.as_slice() } else { breakages } {
            let settings = Settings { shrink: false, stop_at_first: true, ..settings.clone() };
            let report = prove(broken(settings, Some(*breakage)), Arc::new(|_| {}), stop.cancelled()).await?;
            anyhow::ensure!(!report.stopped, "stopped");
            let found = report.broken().find_map(|seed| match &seed.outcome {
                spark_prover::Outcome::Broken(failure) => Some((seed.seed, failure.certain()?)),
                spark_prover::Outcome::Held | spark_prover::Outcome::NotTried { .. } => None,
            });
            let (tried, seconds) = (report.seeds.len(), report.seconds);
            print(&match found {
                Some((seed, (promise, what))) => format!(
                    "{}: found by seed {seed}, {tried} tried in {seconds:.0} s: {promise}: {what}",
                    breakage.as_str()
                ),
                None => format!("{}: NOT FOUND by {tried} seeds in {seconds:.0} s", breakage.as_str()),
            });
            all_found &= found.is_some();
        }
        Ok(if all_found { Exit::Done } else { Exit::Failed })
    }
}
