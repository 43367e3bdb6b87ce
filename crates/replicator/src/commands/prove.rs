//! `prove`: tries random histories with random faults on this very program.

use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context;
use spark_prover::{Report, Settings, prove};

use super::print;
use crate::cli::Prove;
use crate::exit::Exit;

pub(super) async fn run(arguments: &Prove) -> anyhow::Result<Exit> {
    let lanes = match arguments.lanes {
        Some(lanes) => lanes.into(),
        None => 2 * available_parallelism().map_or(1, usize::from),
    };
    let settings = Settings {
        program: std::env::current_exe().context("cannot find this program's own file")?,
        other_program: arguments.beside.clone(),
        seeds: arguments.seeds.clone(),
        steps: arguments.steps.into(),
        instances: arguments.instances.into(),
        lanes,
        failpoints: failpoints(),
        keep: arguments.keep.clone(),
        shrink: !arguments.no_shrink,
        stop_at_first: arguments.first,
        ..Settings::default()
    };
    #[cfg(feature = "failpoints")]
    if arguments.points {
        return points(settings, arguments).await;
    }
    let report = prove(settings, Arc::new(|seed| print(&seed.to_string()))).await?;
    write(arguments, &report)?;
    Ok(conclude(&report))
}

fn write(arguments: &Prove, report: &impl serde::Serialize) -> anyhow::Result<()> {
    let Some(file) = &arguments.report else { return Ok(()) };
    let text = serde_json::to_string_pretty(report).context("cannot write JSON")?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The points at which this program can be told to kill itself.
#[cfg(not(feature = "failpoints"))]
fn failpoints() -> Vec<String> {
    Vec::new()
}

#[cfg(feature = "failpoints")]
fn failpoints() -> Vec<String> {
    // Migrations are over when a trial begins, and nothing pages by what the database remembers; both have
    // tests of their own.
    let boundaries =
        spark_store::failpoint::BOUNDARIES.iter().filter(|name| !["migrate", "set_paging"].contains(name));
    boundaries.flat_map(|name| [format!("{name}.before"), format!("{name}.after")]).collect()
}

#[cfg(feature = "failpoints")]
async fn points(settings: Settings, arguments: &Prove) -> anyhow::Result<Exit> {
    let report = spark_prover::prove_points(settings).await?;
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
    Ok(if report.broken.is_empty() && report.unreached.is_empty() { Exit::Done } else { Exit::Failed })
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
