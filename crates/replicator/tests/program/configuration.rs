//! What the program says about its configuration.

use super::process::{file, program, run};

#[test]
fn usage_is_2_and_help_is_0() {
    assert_eq!(run(["nonsense"]).code, Some(2));
    let help = run(["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("Exit codes: 0 done"), "{help:?}");
}

#[test]
fn a_wrong_configuration_is_78_and_all_of_its_problems_are_told() {
    let (_folder, path) =
        file("[database]\nurl = 'postgres://db/mls'\n[feeds.a]\nupdate_every = 'often'\npurge_at = 'x'\n");
    let ended = run(["config".as_ref(), "check".as_ref(), "--config".as_ref(), path.as_os_str()]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    for part in ["2 problems", "feeds.a.update_every = \"often\"", ":4)", "feeds.a.purge_at = \"x\"", ":5)"] {
        assert!(ended.err.contains(part), "{part:?} is missing in {}", ended.err);
    }
    let absent = run(["config", "check", "--config", "/nowhere/replicator.toml"]);
    assert_eq!(absent.code, Some(78));
    assert!(absent.err.contains("/nowhere/replicator.toml"), "{absent:?}");
}

#[test]
fn the_printed_example_is_sound_once_its_token_is_there() {
    let example = run(["config", "example"]).out;
    let (folder, path) = file(&example);
    let token = folder.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let mut check = program(["config", "check", "--offline", "--config"]);
    check.arg(path);
    let missing = check.output().unwrap();
    assert_eq!(missing.status.code(), Some(78));
    let found = check.env("SPARK_REPLICATOR__FEEDS__BEACHES__TOKEN_FILE", &token).output().unwrap();
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    assert_eq!(found.status.code(), Some(0), "{said}");
    assert!(said.contains("the configuration is sound") && said.contains("next runs: "), "{said}");
}

#[test]
fn a_printed_configuration_names_sources_and_hides_secrets() {
    let (_folder, path) = file("[database]\nurl = 'postgres://r:hush@db/mls'\n");
    let mut print = program(["config".as_ref(), "print".as_ref(), "--config".as_ref(), path.as_os_str()]);
    let printed = print.env("SPARK_REPLICATOR__FEEDS__A__TOKEN", "hush").output().unwrap();
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert_eq!(printed.status.code(), Some(0));
    assert!(!text.contains("hush"), "{text}");
    assert!(
        text.contains("# SPARK_REPLICATOR__FEEDS__A__TOKEN") && text.contains("replicator.toml:2"),
        "{text}"
    );
    let json = print.arg("--json").output().unwrap().stdout;
    let rows: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let token = rows.as_array().unwrap().iter().find(|row| row["key"] == "feeds.a.token").unwrap();
    assert_eq!(token["value"], "***");
}
