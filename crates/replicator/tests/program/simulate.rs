//! `simulate`: a feed for any client, not for ours alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::process::{Ended, PATIENCE, Running, program};

/// What another client reads of it; a test of the simulator looks at every key that it read.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator/tests/read_with_flex_mls.py");

fn simulated() -> (Running, Value) {
    let arguments = ["simulate", "--listen", "127.0.0.1:0", "--log-format", "json", "--listings", "130"];
    let mut command = program(arguments);
    command.args(["--moves-per-minute", "0"]);
    let mut process = Running::start(command);
    let line = process.wait_for("a simulated feed is served");
    (process, serde_json::from_str(&line).unwrap())
}

fn status(base_url: &str, question: &str) -> String {
    let (host, path) = base_url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "Authorization: Bearer simulator-token\r\nUser-Agent: somebody\r\nConnection: close\r\n\r\n";
    write!(stream, "GET /{path}/{question} HTTP/1.1\r\nHost: {host}\r\n{head}").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_client_that_writes_spaces_as_forms_do_is_answered_like_one_that_escapes_them() {
    let (_process, line) = simulated();
    let (reso, spark) = (line["base_url"].as_str().unwrap(), line["spark_base_url"].as_str().unwrap());
    for space in ["+", "%20"] {
        let filter = format!("ListPrice{space}gt{space}1");
        let status_of = status(reso, &format!("Property?$top=1&$filter={filter}"));
        assert!(status_of.contains(" 200 "), "{space}: {status_of}");
        let filter = format!("ListPrice{space}Gt{space}1");
        let status_of = status(spark, &format!("listings?_limit=1&_filter={filter}"));
        assert!(status_of.contains(" 200 "), "{space}: {status_of}");
    }
}

#[test]
fn another_client_reads_the_simulator_that_ships() {
    let python = || Command::new("python3");
    let there = python().args(["-c", "import flex_mls"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        // Past the capture of a test's output, which nobody sees if the test passes.
        let told =
            b"\nSKIPPED another client's reading: no python3 with flex-mls (pip install flex-mls==0.1.1)\n";
        std::io::stderr().write_all(told).unwrap();
        return;
    }
    let (_process, line) = simulated();
    assert!(Path::new(SCRIPT).exists());
    let (reso, spark) = (line["base_url"].as_str().unwrap(), line["spark_base_url"].as_str().unwrap());
    let mut script = python();
    script.args([SCRIPT, reso, spark]).env("SPARK_TOKEN", "simulator-token").env("NO_PROXY", "*");
    let read = Ended::of(&script.output().unwrap());
    assert_eq!(read.code, Some(0), "{read:?}");
    let read: Value = serde_json::from_str(&read.out).unwrap();
    assert_eq!(read["counted"], 130, "{read}");
    assert_eq!(read["native_listings"].as_array().map(Vec::len), Some(130), "{read}");
}
