//! The inputs that are kept: seeds, and whatever once found a bug.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use spark_fuzz::Target;

use crate::Alone;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn what_must_hold_holds_for_all_that_is_kept() {
    let alone = Alone::wait();
    for target in &Target::ALL {
        let mut kept = 0;
        for entry in fs::read_dir(folder("corpus").join(target.name)).unwrap() {
            alone.holds(target, &fs::read(entry.unwrap().path()).unwrap());
            kept += 1;
        }
        assert!(kept >= 4, "{} has only {kept} seeds", target.name);
    }
}

#[test]
fn every_target_has_a_corpus_and_a_binary() {
    let targets: BTreeSet<String> = Target::ALL.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&folder("corpus")), targets);
    assert_eq!(names(&folder("targets")), targets);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    let binaries =
        manifest.lines().filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\""));
    assert_eq!(binaries.map(str::to_owned).collect::<BTreeSet<_>>(), targets);
}
