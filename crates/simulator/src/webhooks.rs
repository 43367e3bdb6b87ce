//! Deliveries of events, as FBS' notification system makes them: signed, with little patience, three times at most.
//!
//! An event tells that a record changed, came or went, and neither how nor what it is now. What real deliveries do
//! to a receiver (they come twice, in disorder, late or never) is a knob here; a receiver that is away is met by
//! three attempts, and then the event is lost.

use std::{
    fmt::Write as _,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::world::{Changed, World};

/// An answer that takes longer is none.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How often a delivery is tried.
const ATTEMPTS: u32 = 3;

/// How the signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `0a1b...`
    Hex,
    /// `0A1B...`
    UpperHex,
    /// `ChsA...=`
    Base64,
    /// `sha256=0a1b...`
    PrefixedHex,
    /// `sha256=ChsA...=`
    PrefixedBase64,
}

/// How deliveries are made; may be changed at any time.
#[derive(Debug, Clone)]
pub struct Habits {
    /// What bodies are signed with; no header `Signature` without it.
    pub secret: Option<String>,
    /// How the signature is written.
    pub encoding: Encoding,
    /// Sent as `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// From a change to the first attempt to tell it.
    pub delay: Duration,
    /// Most events in a delivery; 1 makes single ones, more make batches.
    pub batch: usize,
    /// How often each delivery is made, also those that were taken.
    pub copies: usize,
    /// Whether later events are told before earlier ones.
    pub backwards: bool,
    /// Whether nothing is told at all.
    pub dropped: bool,
    /// The first wait after an attempt in vain; it doubles.
    pub backoff: Duration,
    /// Whether sequences are `"EntityEventSequenceNumeric": 7` and not `"EntityEventSequence": "7"`.
    pub numeric: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            secret: None,
            encoding: Encoding::Hex,
            bearer: None,
            delay: Duration::ZERO,
            batch: 1,
            copies: 1,
            backwards: false,
            dropped: false,
            backoff: Duration::from_secs(1),
            numeric: false,
        }
    }
}

/// One attempt, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Events in it.
    pub events: usize,
    /// The status of the answer; none if there was none in time.
    pub status: Option<u16>,
    /// How long that took.
    pub took: Duration,
}

/// Tells a receiver of everything that happens on a market; stops when dropped.
#[derive(Debug)]
pub struct Webhooks {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<(SocketAddr, String)>,
    habits: Mutex<Habits>,
    attempts: Mutex<Vec<Attempt>>,
}

impl Webhooks {
    /// Tells `http://address/path` of what changes from now on; must be called within a tokio runtime.
    pub fn start(world: &World, address: SocketAddr, path: &str, habits: Habits) -> Self {
        let shared = Arc::new(Shared {
            target: Mutex::new((address, path.to_owned())),
            habits: Mutex::new(habits),
            attempts: Mutex::default(),
        });
        let mut changes = world.listen();
        let state = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut sequence = 1_000;
            // Side by side: a receiver that takes its time with one delivery holds no other up.
            let mut under_way = JoinSet::new();
            while let Some(first) = changes.recv().await {
                sleep(state.habits().delay).await;
                let mut heard = vec![first];
                while let Ok(next) = changes.try_recv() {
                    heard.push(next);
                }
                let habits = state.habits();
                for (events, body) in bodies(&heard, &habits, &mut sequence) {
                    for _ in 0..habits.copies {
                        let (state, habits, body) = (Arc::clone(&state), habits.clone(), body.clone());
                        under_way.spawn(async move { state.deliver(&habits, &body, events).await });
                    }
                }
                while under_way.try_join_next().is_some() {}
            }
        });
        Self { shared, task }
    }

    /// Deliveries go there from now on.
    pub fn retarget(&self, address: SocketAddr) {
        lock(&self.shared.target).0 = address;
    }

    /// Changes how deliveries are made.
    pub fn change(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut lock(&self.shared.habits));
    }

    /// All attempts so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        lock(&self.shared.attempts).clone()
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn habits(&self) -> Habits {
        lock(&self.habits).clone()
    }

    /// Tries until it is taken, three times at most.
    async fn deliver(&self, habits: &Habits, body: &str, events: usize) {
        let headers = headers(habits, body);
        for attempt in 0..ATTEMPTS {
            let (address, path) = lock(&self.target).clone();
            let began = Instant::now();
            let answer = timeout(PATIENCE, post(address, &path, &headers, body.as_bytes())).await;
            let status = answer.ok().and_then(Result::ok);
            lock(&self.attempts).push(Attempt { events, status, took: began.elapsed() });
            if status.is_some_and(|status| (200..300).contains(&status)) {
                return;
            }
            sleep(habits.backoff * 2_u32.pow(attempt)).await;
        }
    }
}

/// The bodies that tell of changes, and how many each tells of.
fn bodies(changed: &[Changed], habits: &Habits, sequence: &mut i64) -> Vec<(usize, String)> {
    if habits.dropped {
        return Vec::new();
    }
    let name = if habits.numeric { "EntityEventSequenceNumeric" } else { "EntityEventSequence" };
    let mut events: Vec<Value> = changed
        .iter()
        .map(|(resource, key)| {
            // It grows, and has gaps.
            *sequence += 3;
            let number: Value = if habits.numeric { (*sequence).into() } else { sequence.to_string().into() };
            json!({ name: number, "ResourceName": resource.as_str(), "ResourceRecordKey": key })
        })
        .collect();
    if habits.backwards {
        events.reverse();
    }
    events.chunks(habits.batch.max(1)).map(|events| (events.len(), body(events))).collect()
}

/// The body of a delivery of these events.
fn body(events: &[Value]) -> String {
    let context = "urn:reso:metadata:2.0:resource:entityevent";
    let mut body = match events {
        [event] => event.clone(),
        events => json!({ "value": events }),
    };
    body["@reso.context"] = context.into();
    body.to_string()
}

fn headers(habits: &Habits, body: &str) -> Vec<(String, String)> {
    let signature =
        habits.secret.as_ref().map(|secret| ("Signature", sign(secret, body.as_bytes(), habits.encoding)));
    let bearer = habits.bearer.as_ref().map(|bearer| ("Authorization", format!("Bearer {bearer}")));
    signature.into_iter().chain(bearer).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The signature of a body.
pub fn sign(secret: &str, body: &[u8], encoding: Encoding) -> String {
    // Keys of any length are taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    let tag = mac.finalize().into_bytes();
    let hex = tag.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    match encoding {
        Encoding::Hex => hex,
        Encoding::UpperHex => hex.to_ascii_uppercase(),
        Encoding::Base64 => BASE64_STANDARD.encode(tag),
        Encoding::PrefixedHex => format!("sha256={hex}"),
        Encoding::PrefixedBase64 => format!("sha256={}", BASE64_STANDARD.encode(tag)),
    }
}

/// Posts a body and answers the status; waits for as long as the receiver does.
pub async fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: NotificationSystem/0.1\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        // Writing to a String cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    // A receiver may answer, and end, before it has taken everything.
    let sent = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await
    }
    .await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    let line = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = line.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match status {
        Some(status) => Ok(status),
        None => Err(sent.err().or(read.err()).unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
