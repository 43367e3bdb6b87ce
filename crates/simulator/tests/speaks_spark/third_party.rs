//! A client that knows nothing of us reads the simulator: the PyPI package `flex-mls`, version 0.1.1.

use std::{
    io::{self, Write as _},
    process::{Command, Output},
};

use serde_json::{Value, json};
use spark_simulator::{Resource, Settings};

use crate::Feed;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_with_flex_mls.py");

/// Runs Python beside the simulator, which must go on answering.
async fn python(arguments: Vec<String>, token: String) -> io::Result<Output> {
    let mut command = Command::new("python3");
    command.args(arguments).env("SPARK_TOKEN", token).env("NO_PROXY", "*");
    tokio::task::spawn_blocking(move || command.output()).await.unwrap()
}

#[tokio::test]
async fn another_clients_reading_is_whole_on_both_surfaces() {
    let there = python(vec!["-c".into(), "import flex_mls".into()], String::new()).await;
    if !there.is_ok_and(|output| output.status.success()) {
        // Past the capture of a test's output, which nobody sees if the test passes.
        let told =
            b"\nSKIPPED another client's reading: no python3 with flex-mls (pip install flex-mls==0.1.1)\n";
        io::stderr().write_all(told).unwrap();
        return;
    }
    let settings = Settings { listings: 130, form_encoded: true, ..Settings::default() };
    let feed = Feed::with(settings).await;
    let (simulator, world) = (&feed.simulator, feed.simulator.world());
    let edited = world.keys(Resource::Property).remove(17);
    world.set_price(&edited, 250_000.0);
    let arguments = vec![SCRIPT.to_owned(), simulator.base_url(), simulator.spark_base_url()];
    let read = python(arguments, simulator.token()).await.unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();

    let photos: usize =
        world.keys(Resource::Property).iter().map(|key| world.photo_count(key).unwrap()).sum();
    let expected = json!({
        "metadata": true,
        "counted": 130,
        "listing_keys": world.keys(Resource::Property),
        "recent": [edited],
        "media": true,
        "members": world.keys(Resource::Member),
        "offices": world.keys(Resource::Office),
        "open_houses": world.keys(Resource::OpenHouse),
        "lookups": world.keys(Resource::Lookup),
        "native_listings": world.keys(Resource::Property),
        "native_photos": photos,
        "native_members": world.keys(Resource::Member),
        "native_offices": world.keys(Resource::Office),
        "native_open_houses": world.keys(Resource::OpenHouse),
        "refusals": [
            ["NotFoundError", null],
            ["ValidationError", null],
            ["NotFoundError", 404],
            ["ValidationError", 1053],
            ["ValidationError", 1040],
        ],
    });
    for (what, wanted) in expected.as_object().unwrap() {
        assert_eq!(read[what], *wanted, "{what}");
    }
    let agents: Vec<_> =
        simulator.journal().requests().into_iter().filter_map(|entry| entry.user_agent).collect();
    assert!(agents.iter().all(|agent| agent.starts_with("flex-mls")), "somebody else asked");
}
