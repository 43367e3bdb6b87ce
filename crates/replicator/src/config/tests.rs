//! What loads, what is refused, and in which words.

use super::*;
use crate::clock;

const SMALL: &str = "[database]\nurl = 'postgres://db/mls'\n[feeds.beaches]\ntoken = '0123'\n";

fn variables(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    list.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn load_text(text: &str, environment: &[(&str, &str)]) -> Loaded {
    read(Path::new("replicator.toml"), text, variables(environment), &[])
        .unwrap_or_else(|error| panic!("{error}"))
}

fn problems(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    match read(Path::new("replicator.toml"), text, variables(environment), &[]) {
        Err(Error::Invalid(findings)) => findings.iter().map(ToString::to_string).collect(),
        other => panic!("expected findings, got {other:?}"),
    }
}

fn beaches(loaded: &Loaded) -> &Feed {
    loaded.config.feeds.values().next().unwrap()
}

#[test]
fn the_example_equals_the_defaults_and_shows_every_setting() {
    let example = include_str!("../../../../deploy/replicator.example.toml");
    let loaded = load_text(example, &[]);
    let small = "[database]\nurl = 'postgres://replicator@localhost/mls'\n[feeds.beaches]\ntoken_file = '/run/secrets/beaches-token'\n";
    let defaults = load_text(small, &[]);
    let values = |loaded: &Loaded| -> Vec<_> {
        loaded.settings.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect()
    };
    assert_eq!(values(&loaded), values(&defaults));
    for setting in &loaded.settings {
        let name = setting.key.rsplit('.').next().unwrap();
        match setting.value {
            Some(_) => assert_ne!(setting.source, Source::Default, "{} is missing", setting.key),
            None => assert!(example.contains(&format!("# {name} = ")), "{} is missing", setting.key),
        }
    }
}

#[test]
fn the_examples_way_to_sign_in_equals_the_defaults_and_shows_every_setting() {
    let example = include_str!("../../../../deploy/replicator.example.toml");
    let (before, table) = example.split_once("# [feeds.beaches.oauth]\n").unwrap();
    let before = before.replace("\ntoken_file = ", "\n# token_file = ");
    let set: Vec<&str> = table.lines().filter(|line| line.contains(" = ")).map(|line| &line[2..]).collect();
    let load = |set: &[&str]| load_text(&format!("{before}[feeds.beaches.oauth]\n{}\n", set.join("\n")), &[]);
    let loaded = load(&set);
    let ours: Vec<_> = loaded.settings.iter().filter(|setting| setting.key.contains(".oauth.")).collect();
    assert_eq!(ours.len(), 6, "{ours:#?}");
    assert!(ours.iter().all(|setting| setting.source != Source::Default), "{ours:#?}");
    let needed: Vec<&str> = set.into_iter().filter(|line| !line.contains("_url = ")).collect();
    let values = |loaded: &Loaded| -> Vec<_> {
        loaded.settings.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect()
    };
    assert_eq!(values(&loaded), values(&load(&needed)));
}

#[test]
fn all_problems_are_shown_at_once_with_key_value_source_and_remedy() {
    let text = "[database]\nurl = 'mysql://db/mls'\n[feeds.Bad]\n[feeds.beaches]\nupdate_every = '5 minutes'\n\
                page_sise = 10\npurge_at = 'nightly'\nrelations = { Office = ['Room'] }\n";
    let found = problems(text, &[("SPARK_REPLICATOR__FEEDS__BEACHES__TIME_ZONE", "Mars/Base")]);
    for expected in [
        "database.url = \"mysql://db/mls\" (replicator.toml:2): a URL of Postgres begins with postgres://",
        "feeds.Bad (replicator.toml:3): feed name \"Bad\" must be 1 to 63 characters",
        "feeds.beaches.update_every = \"5 minutes\" (replicator.toml:5): write a whole number and a unit",
        "feeds.beaches.page_sise (replicator.toml:6): unknown setting; did you mean \"page_size\"?",
        "feeds.beaches.purge_at = \"nightly\" (replicator.toml:7): a cron expression has 5 fields",
        "feeds.beaches.relations.Office = \"Room\" (replicator.toml:8): Office has no relation Room",
        "feeds.beaches.time_zone = \"Mars/Base\" (SPARK_REPLICATOR__FEEDS__BEACHES__TIME_ZONE): write a time zone",
    ] {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected:?} is not in {found:#?}");
    }
    assert_eq!(found.len(), 7, "{found:#?}");
}

#[test]
fn variables_stay_texts_and_go_before_the_file() {
    let loaded = load_text(
        SMALL,
        &[
            ("SPARK_REPLICATOR__FEEDS__BEACHES__TOKEN", "0456"),
            ("SPARK_REPLICATOR__FEEDS__BEACHES__PAGE_SIZE", "0500"),
            ("SPARK_REPLICATOR__FEEDS__BEACHES__RESOURCES", "Property, Office"),
            ("SPARK_REPLICATOR__FEEDS__BEACHES__RELATIONS__OFFICE", "Media"),
            ("SPARK_REPLICATOR_VERSION", "not ours"),
        ],
    );
    let feed = beaches(&loaded);
    let Some(Secret::Text(token)) = &feed.token else { panic!("{:?}", feed.token) };
    assert_eq!(secrecy::ExposeSecret::expose_secret(token), "0456");
    assert_eq!(feed.page_size, 500);
    assert_eq!(feed.resources.len(), 2);
    assert_eq!(feed.relations.keys().map(|r| r.as_str()).collect::<Vec<_>>(), ["Office"]);
}

#[test]
fn flags_go_before_variables() {
    let flags = [("log.format", "json".to_owned())];
    let environment = variables(&[("SPARK_REPLICATOR__LOG__FORMAT", "text")]);
    let loaded = read(Path::new("replicator.toml"), SMALL, environment, &flags).unwrap();
    assert_eq!(loaded.config.log.format, log::Format::Json);
    assert_eq!(loaded.setting("log.format").unwrap().source, Source::Flag);
}

#[test]
fn a_nearer_layer_replaces_a_secret_by_its_file_and_the_same_layer_may_not_set_both() {
    let loaded = load_text(SMALL, &[("SPARK_REPLICATOR__FEEDS__BEACHES__TOKEN_FILE", "/run/token")]);
    assert!(matches!(&beaches(&loaded).token, Some(Secret::File(path)) if path == Path::new("/run/token")));
    let found = problems(&format!("{SMALL}token_file = '/run/token'\n"), &[]);
    assert!(found[0].contains("keep one of the two"), "{found:?}");
}

#[test]
fn secrets_are_never_shown() {
    let text = "[database]\nurl = 'postgres://r:hush@db/mls'\n[feeds.beaches]\ntoken = 'hush'\nproxy = 'http://u:hush@p:1'\n";
    let loaded = load_text(text, &[]);
    let shown = format!("{}{}{loaded:?}", print::text(&loaded.settings), print::json(&loaded.settings));
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("feeds.beaches.token = \"***\""), "{shown}");
    assert!(shown.contains("postgres://r:***@db/mls"), "{shown}");
    let broken = read(Path::new("a.toml"), "[feeds.b]\ntoken = hush\n", Vec::new(), &[]).unwrap_err();
    let said = broken.to_string();
    assert!(said.starts_with("a.toml:2: ") && !said.contains("hush"), "{said}");
}

#[test]
fn every_value_is_printed_with_its_source() {
    let loaded = load_text(SMALL, &[("SPARK_REPLICATOR__SERVER__LISTEN", "0.0.0.0:9464")]);
    let text = print::text(&loaded.settings);
    for (key, source) in [
        ("database.url = ", "replicator.toml:2"),
        ("server.listen = \"0.0.0.0:9464\"", "SPARK_REPLICATOR__SERVER__LISTEN"),
        ("feeds.beaches.update_every = \"5m\"", "default"),
        ("# feeds.beaches.removal_deadline is not set", "default"),
    ] {
        let line =
            text.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key} in {text}"));
        assert!(line.ends_with(&format!("# {source}")), "{line}");
    }
}

#[test]
fn a_deadline_that_no_purge_can_meet_is_refused_and_a_tight_one_is_told() {
    let now = "2026-06-01T00:00:00Z".parse().unwrap();
    let found = |deadline: &str, purge_at: &str| {
        let text = format!("{SMALL}removal_deadline = '{deadline}'\npurge_at = '{purge_at}'\n");
        let list = check::findings(&load_text(&text, &[]), now);
        list.into_iter().map(|finding| (finding.severity, finding.message)).collect::<Vec<_>>()
    };
    assert!(
        matches!(&found("12h", "0 2 * * *")[..], [(Severity::Error, said)] if said.contains("leaves 1 d "))
    );
    assert!(matches!(&found("12h", "0 2,14 * * *")[..], [(Severity::Warning, _)]));
    assert_eq!(found("12h", "0 */6 * * *"), []);
}

#[test]
fn a_run_needs_a_database_a_feed_and_its_token() {
    let now = clock::now();
    let keys = |text: &str| -> Vec<_> {
        check::findings(&load_text(text, &[]), now).into_iter().map(|finding| finding.key).collect()
    };
    assert_eq!(keys(""), ["database.url", "feeds"]);
    assert_eq!(keys("[database]\nembedded = true\n[feeds.a]\n"), ["feeds.a.token"]);
    let absent =
        "[database]\nembedded = true\n[feeds.a]\ntoken_file = '/nowhere/token'\nextra_ca = '/nowhere/ca'\n";
    assert_eq!(keys(absent), ["feeds.a.token_file", "feeds.a.extra_ca"]);
    assert_eq!(keys(SMALL), [""; 0]);
}

#[test]
fn a_proxy_that_is_not_spoken_and_an_authority_that_is_none_are_found_with_their_remedies() {
    let found = problems(&format!("{SMALL}proxy = 'socks5://guard:hush@proxy:1080'\n"), &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    for part in
        ["feeds.beaches.proxy", "socks5://guard:***@proxy:1080", "socks5 is not spoken", "http://proxy:3128"]
    {
        assert!(found[0].contains(part), "{part:?} is not in {found:?}");
    }

    let folder = tempfile::tempdir().unwrap();
    let (authority, proxy) = (folder.path().join("ca.pem"), folder.path().join("proxy"));
    let broken = "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    for content in ["", "no certificate\n", broken] {
        std::fs::write(&authority, content).unwrap();
        std::fs::write(&proxy, "socks5://guard:hush@proxy:1080\n").unwrap();
        let text =
            format!("{SMALL}extra_ca = '{}'\nproxy_file = '{}'\n", authority.display(), proxy.display());
        let list = check::findings(&load_text(&text, &[]), clock::now());
        let said: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(list.iter().all(|finding| finding.severity == Severity::Error), "{said:?}");
        let parts = [
            "feeds.beaches.extra_ca",
            "ca.pem",
            "no usable certificate in PEM form",
            "leave the setting out",
        ];
        assert!(parts.iter().all(|part| said[0].contains(part)), "{said:?}");
        let parts = ["feeds.beaches.proxy_file", "socks5 is not spoken"];
        assert!(parts.iter().all(|part| said[1].contains(part)) && !said[1].contains("hush"), "{said:?}");
    }
}

#[test]
fn a_webhook_without_a_proof_is_refused_and_what_makes_it_useless_is_told() {
    let now = clock::now();
    let found = |text: &str| -> Vec<_> {
        let list = check::findings(&load_text(&format!("{SMALL}{text}"), &[]), now);
        list.into_iter().map(|finding| (finding.severity, finding.key)).collect()
    };
    let key = |name: &str| format!("feeds.beaches.webhook{name}");
    let listens = "[webhooks]\nlisten = '127.0.0.1:9465'\n";
    let long = "a secret of more than sixteen characters";
    assert_eq!(found(&format!("[feeds.beaches.webhook]\nsecret = '{long}'\n{listens}")), []);
    assert_eq!(found(&format!("[feeds.beaches.webhook]\nbearer = '{long}'\n{listens}")), []);
    for empty in ["", "signature = 'hex'\n"] {
        let found = found(&format!("[feeds.beaches.webhook]\n{empty}{listens}"));
        assert_eq!(found, [(Severity::Error, key(""))]);
    }
    let absent = found(&format!("[feeds.beaches.webhook]\nsecret_file = '/nowhere/key'\n{listens}"));
    assert_eq!(absent, [(Severity::Error, key(".secret_file"))]);
    let short = found(&format!("[feeds.beaches.webhook]\nbearer = 'abc'\n{listens}"));
    assert_eq!(short, [(Severity::Warning, key(".bearer"))]);
    let unheard = found(&format!("[feeds.beaches.webhook]\nsecret = '{long}'\n"));
    assert_eq!(unheard, [(Severity::Warning, key(""))]);
    assert_eq!(found(listens), [(Severity::Warning, "webhooks.listen".to_owned())]);
    let wrong = problems(&format!("{SMALL}[feeds.beaches.webhook]\nsignature = 'sha1'\n"), &[]);
    assert!(wrong[0].contains("write \"any\" or \"hex\" or \"base64\""), "{wrong:?}");
}
