//! The throw-away Postgres: it starts for anybody, survives a kill on purpose, and outlives nobody.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use spark_simulator::postgres::{INSTALL_LINE, PostgresError, ThrowAwayPostgres};

#[test]
fn a_throw_away_postgres_starts_also_for_root_and_goes_with_its_folder() {
    let server = ThrowAwayPostgres::start().unwrap_or_else(|error| panic!("{error}"));
    let pid = server.pid().unwrap();
    assert_ne!(fs::metadata(format!("/proc/{pid}")).map_or(1, |process| process.uid()), 0);
    server.create_database("market", None).unwrap();
    server.create_database("copy", Some("market")).unwrap();
    assert!(server.create_database("copy", None).is_err(), "a second one of that name");

    let folder = server.folder().to_path_buf();
    drop(server);
    assert!(!folder.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_killed_postgres_starts_again_on_the_same_data() {
    let server = ThrowAwayPostgres::start().unwrap_or_else(|error| panic!("{error}"));
    server.create_database("kept", None).unwrap();
    let first = server.pid();
    server.kill();
    assert!(UnixStream::connect(server.folder().join(".s.PGSQL.5432")).is_err());
    server.start_again().unwrap();
    assert_ne!(server.pid(), first);
    assert!(server.create_database("kept", None).is_err(), "the database is still there");
    server.restart().unwrap();
    server.drop_database("kept").unwrap();
}

#[test]
fn a_postgres_dies_with_its_killed_parent_and_leaves_no_folder() {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_throw-away-postgres"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let folder = PathBuf::from(lines.next().unwrap().unwrap());
    assert!(folder.join("data/postmaster.pid").exists());

    parent.kill().unwrap();
    parent.wait().unwrap();
    let killed = Instant::now();
    while folder.exists() {
        assert!(killed.elapsed() < Duration::from_secs(10), "{} is still there", folder.display());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_missing_postgres_says_in_one_line_what_to_install() {
    let text = PostgresError::NotInstalled.to_string();
    assert_eq!(text, format!("Postgres is not installed: run \"{INSTALL_LINE}\""));
    assert_eq!(text.lines().count(), 1);
}
