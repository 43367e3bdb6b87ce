//! The plan of the house, held against the house: who may import whom, how long a file may be, what stands at
//! the top. `crates/README.md` draws the same plan for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 500;

/// A room, the rooms of ours that it may import, and the crates that belong to other rooms.
const ROOMS: [(&str, &[&str], &[&str]); 8] = [
    ("domain", &[], &["tokio", "reqwest", "sqlx", "figment", "axum", "clap", "prometheus"]),
    ("fetcher", &["domain"], &["sqlx", "figment", "axum", "clap", "prometheus"]),
    ("store", &["domain"], &["reqwest", "figment", "axum", "clap", "prometheus"]),
    ("scheduler", &["domain", "fetcher", "store"], &["sqlx", "reqwest", "figment", "axum", "clap"]),
    ("replicator", &["domain", "fetcher", "store", "scheduler", "simulator", "prover"], &["sqlx", "reqwest"]),
    ("prover", &["simulator"], &["reqwest", "figment", "axum", "clap", "prometheus"]),
    ("simulator", &[], &["sqlx", "figment", "clap", "prometheus"]),
    ("fuzz", &["domain", "fetcher"], &["tokio", "reqwest", "sqlx", "figment", "axum", "clap", "prometheus"]),
];

const TOP_LEVEL: [&str; 15] = [
    ".ci",
    ".clippy.toml",
    ".dockerignore",
    ".git",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "crates",
    "deploy",
    "docker-compose.yml",
    "migrations",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The names under `[dependencies]`, tests' own dependencies aside.
fn dependencies(room: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("crates").join(room).join("Cargo.toml")).unwrap();
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside && let Some((name, _)) = line.split_once(['.', '=', ' ']) {
            names.insert(name.trim().to_owned());
        }
    }
    assert!(!names.is_empty(), "crates/{room}/Cargo.toml has no [dependencies] that this test can read");
    names
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_arrow_between_rooms_is_on_the_plan() {
    for (room, may_import, belongs_elsewhere) in ROOMS {
        let found = dependencies(room);
        for ours in found.iter().filter_map(|name| name.strip_prefix("spark-")) {
            assert!(
                may_import.contains(&ours),
                "crates/{room} imports crates/{ours}, which the plan forbids"
            );
        }
        for foreign in belongs_elsewhere {
            assert!(
                !found.contains(*foreign),
                "crates/{room} imports {foreign}, which belongs to another room"
            );
        }
    }
    let rooms: BTreeSet<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(rooms, ROOMS.iter().map(|(room, ..)| (*room).to_owned()).collect());
}

#[test]
fn no_file_is_too_long_to_be_read_at_one_go() {
    let mut files = Vec::new();
    rust_files(&root().join("crates"), &mut files);
    let lengths: BTreeMap<PathBuf, usize> = files
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .collect();
    assert!(lengths.is_empty(), "longer than {LONGEST_FILE} lines: {lengths:#?}");
}

#[test]
fn nothing_stands_at_the_top_that_no_tool_demands() {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--full-name", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let top: BTreeSet<&str> = listed.lines().filter_map(|path| path.split('/').next()).collect();
    let strangers: Vec<_> = top.iter().filter(|name| !TOP_LEVEL.contains(name)).collect();
    assert!(strangers.is_empty(), "not on the plan: {strangers:?}");
}

/// What could make SQL of a text that is not in the source, and where it stands for a reason. (The driver itself
/// takes a `&'static str` and nothing else, unless one of these vouches for more.)
const SQL_OF_TEXT: [&str; 7] = [
    "AssertSqlSafe",
    "QueryBuilder",
    "into_sql_str",
    "SqlStr::",
    "leak()",
    "::leak(",
    "OnceLock<Vec<String>>",
];
const SQL_OF_TEXT_ALLOWED: [(&str, &str, &str); 3] = [
    ("store/src/migrate.rs", "into_sql_str", "the migrations, which are part of the program"),
    (
        "store/src/columns/by_table.rs",
        "OnceLock<Vec<String>>",
        "one statement a table: names from our closed enums",
    ),
    ("store/src/columns/by_table.rs", "OnceLock<Vec<String>>", "and one a relation's table"),
];

#[test]
fn no_sql_is_made_of_data() {
    // No other room may import the driver: see the arrows.
    let mut files = Vec::new();
    rust_files(&root().join("crates/store/src"), &mut files);
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root().join("crates")).unwrap().to_str().unwrap();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            found.extend(
                SQL_OF_TEXT.iter().filter(|word| line.contains(**word)).map(|word| (name.to_owned(), *word)),
            );
            let put_together = ["format!(", "write!(", "push_str("].iter().any(|call| line.contains(call));
            let sql =
                ["select ", "insert into", "delete from", "update replicator", "update mls", "savepoint "];
            let sql = sql.iter().any(|word| line.contains(word));
            assert!(!(put_together && sql), "{name}:{number} puts SQL together: {line}");
        }
    }
    found.sort();
    let mut allowed: Vec<_> = SQL_OF_TEXT_ALLOWED.map(|(file, word, _)| (file.to_owned(), word)).into();
    allowed.sort();
    assert_eq!(
        found, allowed,
        "bind data as parameters; a statement that is put together needs a reason here"
    );
}

#[test]
fn one_crypto_provider_and_no_banned_crate_is_locked() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let deny = fs::read_to_string(root().join(".ci/deny.toml")).unwrap();
    for banned in ["aws-lc-sys", "aws-lc-rs", "openssl-sys", "native-tls", "protobuf", "serde_yaml"] {
        assert!(!lock.contains(&format!("name = \"{banned}\"\n")), "{banned} has got into Cargo.lock");
        assert!(deny.contains(&format!("crate = \"{banned}\"")), ".ci/deny.toml does not ban {banned}");
    }
}
