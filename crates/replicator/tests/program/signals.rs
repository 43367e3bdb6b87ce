//! What systemd is told, and how signals end the program.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use super::process::{PATIENCE, Running, program};

/// Stands in for systemd: it reads at once, as systemd does, since a full socket would hold up whoever writes.
pub(crate) struct Systemd {
    folder: tempfile::TempDir,
    messages: Receiver<String>,
}

impl Systemd {
    pub(crate) fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length) = socket.recv(&mut buffer) {
                if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { folder, messages }
    }

    /// Makes a program one of its services, with a watchdog.
    pub(crate) fn adopt(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify")).env("WATCHDOG_USEC", "100000");
    }

    /// Waits for a message that has this line in it.
    pub(crate) fn wait_for(&self, line: &str) {
        let mut seen = Vec::new();
        while let Ok(message) = self.messages.recv_timeout(PATIENCE) {
            if message.lines().any(|got| got == line) {
                return;
            }
            seen.push(message);
        }
        panic!("{line} never came, only {seen:?}");
    }
}

#[test]
fn systemd_hears_that_we_stand_live_and_stop() {
    let systemd = Systemd::listen();
    let mut command =
        program(["simulate", "--listen", "127.0.0.1:0", "--listings", "10", "--log-format", "json"]);
    systemd.adopt(&mut command);
    let mut running = Running::start(command);
    systemd.wait_for("READY=1");
    systemd.wait_for("WATCHDOG=1");
    systemd.wait_for("WATCHDOG=1");
    running.signal("TERM");
    systemd.wait_for("STOPPING=1");
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn a_simulated_feed_wants_the_token() {
    let mut running = Running::start(program([
        "simulate",
        "--listen",
        "127.0.0.1:0",
        "--listings",
        "10",
        "--token",
        "right",
        "--log-format",
        "json",
    ]));
    let line: serde_json::Value =
        serde_json::from_str(&running.wait_for("a simulated feed is served")).unwrap();
    let url = line["base_url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let (address, path) = url.split_once('/').unwrap();
    let ask = |token: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "GET /{path}/Property?$top=1 HTTP/1.1\r\nHost: {address}\r\nUser-Agent: test\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    };
    assert!(ask("right").contains(" 200 "), "{}", ask("right"));
    assert!(ask("wrong").contains(" 401 "), "{}", ask("wrong"));
    running.signal("INT");
    assert_eq!(running.wait(), Some(0));
}
