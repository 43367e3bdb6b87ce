//! The proof is a command like any other: it says what it found, writes it down, and leaves nothing behind.

use std::time::Instant;

use serde_json::Value;

use super::process::{Ended, PATIENCE, Running, program};

#[test]
fn a_short_proof_holds_and_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut command = program(["prove", "--seeds", "7", "--steps", "12", "--lanes", "1", "--instances", "2"]);
    command.arg("--report").arg(&report).arg("--keep").arg(folder.path());
    let ended = Ended::of(&command.output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("seed 7: held"), "{ended:?}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["seeds"][0]["outcome"], "held");
    let count = |what: &str| report["totals"][what].as_u64().unwrap();
    assert!(count("rows_compared") > 100 && count("claims") > 6 && count("requests") > 20, "{report:#}");
    assert!(report["clocks"].to_string().contains("not scaled: the budget's window"));
    assert!(!folder.path().join("seed-7").exists(), "the traces of a seed that held are kept");
}

#[test]
fn a_proof_that_is_stopped_ends_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let report = elsewhere.path().join("report.json");
    let mut command = program(["prove", "--seeds", "0..99", "--lanes", "2", "--report"]);
    command.arg(&report).env("TMPDIR", folder.path());
    let mut running = Running::listening_to_stdout(command);
    let end = Instant::now() + PATIENCE * 2;
    while processes_of(folder.path().to_str().unwrap()).is_empty() {
        assert!(Instant::now() < end, "no daemon was started");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.signal("INT");
    assert_eq!(running.wait(), Some(130));
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["stopped"], true, "what was tried so far is told: {report}");
    let left = processes_of(folder.path().to_str().unwrap());
    assert!(left.is_empty(), "still there: {left:?}");
}

/// The command lines that name a folder.
fn processes_of(folder: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}
