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
        keep: arguments.keep.clone(),
        shrink: !arguments.no_shrink,
        stop_at_first: arguments.first,
        ..Settings::default()
    };
    let report = prove(settings, Arc::new(|seed| print(&seed.to_string()))).await?;
    if let Some(file) = &arguments.report {
        let text = serde_json::to_string_pretty(&report).context("cannot write JSON")?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(conclude(&report))
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
