//! A feed that is recorded, and replicated again from its recording.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use spark_simulator::{Dialect, Fault, Manners, Resource, Trouble};

use super::native::speak_spark;
use super::process::{Running, program, run};
use super::stage::{Daemon, Stage};

/// Every row that we have of the market, as one number.
const ALL_ROWS: &str = "select md5(string_agg(row, ';' order by row)) from (
    select 'Property ' || key || body::text as row from mls.property
    union all select 'Member ' || key || body::text from mls.member
    union all select 'Office ' || key || body::text from mls.office
    union all select 'OpenHouse ' || key || body::text from mls.open_house
    union all select 'Media ' || parent_key || key || body::text from mls.media
    union all select relation || parent_key || key || body::text from mls.relation) as rows";

/// The keys and stamps, whatever is written beside them.
const ALL_KEYS: &str = "select md5(string_agg(row, ';' order by row)) from (
    select 'Property ' || key || modified_at as row from mls.property
    union all select 'Member ' || key || modified_at from mls.member
    union all select 'Office ' || key || modified_at from mls.office
    union all select 'Media ' || parent_key || key from mls.media) as rows";

const AT_REST: &str = "select bool_and(initial_download_completed_at is not null)
        and not exists (select from replicator.relation_set where due_at is not null or after_sweep)
        and not exists (select from replicator.reread)
    from replicator.resource where configured";

/// Runs a daemon over a market with troubles, and keeps what it is told.
async fn recorded(stage: &Stage, flags: &[&str]) -> PathBuf {
    let folder = stage.config().with_file_name("recordings");
    let faults = stage.simulator.faults();
    faults.push(Fault::new(Trouble::error(503, 503)).on("Property").nth(2));
    faults.push(Fault::new(Trouble::Reset).on("Property").nth(1));
    faults.push(Fault::new(Trouble::CutShort { after: 10 }).on("OpenHouse"));
    let text = std::fs::read_to_string(stage.config()).unwrap();
    std::fs::write(stage.config(), text.replace("update_every = '300ms'", "update_every = '3s'")).unwrap();
    let mut command = stage.program(&["run"]);
    command.arg("--record").arg(&folder).args(flags);
    let mut daemon = Daemon::start(command);
    stage.until("all is downloaded", AT_REST).await;
    stage.change_arrives("Seen twice").await;
    let key = stage.simulator.world().insert_listing();
    stage
        .until("a new one arrives", &format!("select count(*) = 1 from mls.property where key = '{key}'"))
        .await;
    stage.until("its media arrive as well", AT_REST).await;
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    folder
}

/// Serves a recording, and leads a stage with a fresh database to it.
fn replayed(recording: &Path, stage: &Stage, dialect: Dialect) -> Running {
    let mut command = program(["simulate", "--listen", "127.0.0.1:0", "--log-format", "json", "--replay"]);
    command.arg(recording);
    let mut replay = Running::start(command);
    let line: Value = serde_json::from_str(&replay.wait_for("a recorded feed is served")).unwrap();
    assert_eq!(line["feed"], "beaches");
    assert_eq!(line["api"], dialect.as_str());
    // A replay has as many updates as the recording: they may come faster.
    let text = std::fs::read_to_string(stage.config())
        .unwrap()
        .replace("update_every = '300ms'", "update_every = '30ms'");
    let (from, to) = (stage.simulator.base_url_of(dialect), line["base_url"].as_str().unwrap());
    assert!(text.contains(&from) && from != to, "{text}");
    std::fs::write(stage.config(), text.replace(&from, to)).unwrap();
    stage.write_token("any-token-will-do");
    replay
}

async fn is_replicated_again(name: &str, dialect: Dialect) {
    let (first, second) = (Stage::new(name, 60).await, Stage::new(&format!("{name}_again"), 1).await);
    for stage in [&first, &second] {
        if dialect == Dialect::Spark {
            speak_spark(stage);
        }
    }
    let folder = recorded(&first, &["--record-values"]).await;
    let rows: String = first.ask(ALL_ROWS).await;

    let mut replay = replayed(&folder, &second, dialect);
    let mut daemon = second.daemon();
    let equal = format!("select ({ALL_ROWS}) = '{rows}'");
    second.until("its rows are those of the first", &equal).await;
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    let said = daemon.process.said();
    for trouble in ["\"reason\":\"http_5xx\"", "\"reason\":\"connect\"", "\"reason\":\"bad_body\""] {
        assert!(said.contains(trouble), "{trouble} is not met again: {said}");
    }
    replay.signal("TERM");
    assert_eq!(replay.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_feed_is_replicated_again_row_for_row_with_its_troubles() {
    is_replicated_again("recorded_reso", Dialect::Reso).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_native_feed_is_replicated_again_as_well() {
    is_replicated_again("recorded_spark", Dialect::Spark).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_shows_whether_and_when_and_not_what_people_wrote() {
    shows_only_shapes("redacted_reso", Dialect::Reso).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_recording_shows_no_more() {
    shows_only_shapes("redacted_spark", Dialect::Spark).await;
}

async fn shows_only_shapes(name: &str, dialect: Dialect) {
    let (first, second) = (Stage::new(name, 70).await, Stage::new(&format!("{name}_again"), 1).await);
    for stage in [&first, &second] {
        if dialect == Dialect::Spark {
            speak_spark(stage);
        }
        // Several pages, whose sizes follow from what the last one weighed.
        let text = std::fs::read_to_string(stage.config()).unwrap();
        let pages = "page_size = 30\npage_bytes = '60KB'";
        std::fs::write(stage.config(), text.replace("page_size = 100", pages)).unwrap();
    }
    let accents = "Où l’été dure plus longtemps qu’ailleurs, 1984#";
    for key in first.simulator.world().keys(Resource::Property) {
        first.simulator.world().edit(Resource::Property, &key, "PrivateRemarks", accents);
    }
    let folder = recorded(&first, &[]).await;
    let file = folder.join("beaches.jsonl");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    let fields = [
        "PublicRemarks",
        "PrivateRemarks",
        "ListAgentFullName",
        "ListAgentName",
        "UnparsedAddress",
        "UnparsedFirstLineAddress",
        "StreetName",
        "City",
        "MemberFullName",
        "MemberEmail",
        "MemberMobilePhone",
        "MediaURL",
        "UriLarge",
        "ObjectHtml",
    ];
    let fields = fields.map(|field| {
        format!("select jsonb_path_query(body, 'lax $.**.{field}') #>> '{{}}' as value from bodies")
    });
    let written: Vec<String> = first
        .ask(&format!(
            "with bodies as (select body from mls.property union all select body from mls.member
                             union all select body from mls.office union all select body from mls.media)
             select array_agg(distinct value) from ({}) as texts where length(value) > 7 and value ~ '[b-wyzB-WYZ02-9]'",
            fields.join(" union all ")
        ))
        .await;
    assert!(written.len() > 150, "{written:?}");
    let words: Vec<String> =
        first.ask("select coalesce(array_agg(body->>'LookupValue'), '{}') from mls.lookup").await;
    let shown = written.iter().filter(|value| text.contains(value.as_str()) && !words.contains(value));
    assert_eq!(shown.collect::<Vec<_>>(), Vec::<&String>::new());
    for key in first.simulator.world().keys(Resource::Property) {
        assert!(text.contains(&format!("\\\"{key}\\\"")), "{key} is not there");
    }

    let keys: String = first.ask(ALL_KEYS).await;
    let _replay = replayed(&file, &second, dialect);
    let _daemon = second.daemon();
    let equal = format!("select ({ALL_KEYS}) = '{keys}'");
    second.until("its keys are those of the first", &equal).await;
    let texts = "select count(*) > 0 and bool_and(body->>'PrivateRemarks' ~ '^[^a-wyzA-WYZ02-9]*$') from mls.property \
                 where body ? 'PrivateRemarks'";
    second.until("its texts have only their shape", texts).await;
}

/// Prices and counts, whatever is written beside them.
const ALL_NUMBERS: &str = "select md5(string_agg(concat_ws(' ', key, list_price, body->>'ListPrice',
    body->>'OriginalListPrice', body->>'PhotosCount'), ';' order by key)) from mls.property";

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_keeps_prices_and_counts_that_a_server_writes_as_texts() {
    let manners = Manners { numbers_as_text: true, ..Manners::default() };
    let first = Stage::with("redacted_texts", 40, manners).await;
    let second = Stage::new("redacted_texts_again", 1).await;
    let folder = recorded(&first, &[]).await;
    let text = "select bool_and(jsonb_typeof(body->'ListPrice') = 'string') and count(*) > 30 from mls.property \
                where body ? 'ListPrice'";
    assert!(first.ask::<bool>(text).await, "its prices are no texts, which proves nothing");
    let numbers: String = first.ask(ALL_NUMBERS).await;

    let _replay = replayed(&folder, &second, Dialect::Reso);
    let _daemon = second.daemon();
    let equal = format!("select ({ALL_NUMBERS}) = '{numbers}'");
    second.until("its prices and counts are those of the first", &equal).await;
    let coordinates =
        "select bool_and(body->>'Latitude' ~ '^-?[1.]+$') from mls.property where body ? 'Latitude'";
    second.until("its coordinates have only their shape", coordinates).await;
}

#[test]
fn what_cannot_be_recorded_or_replayed_is_said_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let of = |flags: &[&str]| {
        let ended = run(["simulate", "--listen", "127.0.0.1:0", "--replay", folder.path().to_str().unwrap()]
            .iter()
            .chain(flags));
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
        ended
    };
    let empty = of(&[]);
    assert!(
        empty.code == Some(78)
            && empty.err.contains("holds no recording")
            && empty.err.contains("run --record"),
        "{empty:?}"
    );
    for name in ["a.jsonl", "b.jsonl"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let several = of(&[]);
    assert!(several.err.contains("a.jsonl") && several.err.contains("b.jsonl"), "{several:?}");
    assert!(of(&["--seed", "7"]).err.contains("--seed"));
    let alone = run(["run", "--record-values"]);
    assert!(alone.code != Some(0) && alone.err.contains("--record <DIR>"), "{alone:?}");
}
