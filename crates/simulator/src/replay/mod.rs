//! Serves a feed again as it was recorded.
//!
//! Whoever asks the same questions gets the same answers in the same order, refusals and broken connections too;
//! at the end of the recording each question keeps its last good answer, as of a market that stands still. Records
//! that are asked for by key are put together as they were last shown, since which keys go into one question
//! depends on the moment. What was never recorded is refused with 503: that proves nothing, and so nothing is
//! deleted for it.

mod question;
mod recording;

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{net::TcpListener, task::JoinHandle};

pub use self::recording::{Extent, Recording, ReplayError};
use self::{
    question::{ByKey, Question, question},
    recording::Recorded,
};
use crate::{
    clock::Clock,
    dialect::Dialect,
    faults::ErrorShape,
    http::{self, Delivery, Request, Response},
    journal::{Entry, Journal},
    odata::Answer,
    spark,
};

/// A recording that is being served; stops when dropped.
#[derive(Debug)]
pub struct Replay {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    recording: Recording,
    clock: Clock,
    journal: Journal,
    played: Mutex<Played>,
    /// Is told once of every question that was never recorded.
    unrecorded: Box<dyn Fn(&str) + Send + Sync>,
}

/// How far the recording has been played.
#[derive(Debug, Default)]
struct Played {
    /// How many of its answers a question has had.
    answers: HashMap<String, usize>,
    /// Which exchange shows a record next.
    records: HashMap<(String, String), usize>,
    missed: HashSet<String>,
}

impl Replay {
    /// Listens; must be called within a tokio runtime. `unrecorded` is told once of every question that has no
    /// answer.
    pub async fn start(
        listen: SocketAddr,
        recording: Recording,
        unrecorded: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            recording,
            clock: Clock::default(),
            journal: Journal::default(),
            played: Mutex::default(),
            unrecorded: Box::new(unrecorded),
        });
        let state = Arc::clone(&shared);
        let task = tokio::spawn(http::serve(listener, move |request| {
            let state = Arc::clone(&state);
            async move {
                // Reading the file must not keep other connections waiting.
                let work = tokio::task::spawn_blocking(move || state.respond(&request));
                work.await.unwrap_or_else(|_| {
                    Response::new(500, "text/plain", b"the replay itself failed".to_vec())
                })
            }
        }));
        Ok(Self { address, shared, task })
    }

    /// The service root, without a slash at its end: what `base_url` is set to.
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, self.shared.recording.base.path)
    }

    /// Which surface was recorded.
    pub fn dialect(&self) -> Dialect {
        self.shared.recording.base.dialect
    }

    /// The feed's name in the configuration it was recorded with.
    pub fn feed(&self) -> &str {
        &self.shared.recording.feed
    }

    /// How much was recorded, and when.
    pub fn extent(&self) -> &Extent {
        &self.shared.recording.extent
    }

    /// What was asked.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn respond(&self, request: &Request) -> Response {
        let entry = Entry::of(request, self.clock.now());
        let dialect = self.recording.base.dialect;
        let number = self.journal.open(entry);
        let host = request.header("host").unwrap_or_default();
        let response = match self.answer(&question(&self.recording.base, &request.target)) {
            Ok(Some(recorded)) => self.dress(recorded, host),
            Ok(None) => plain(&refusal(dialect, 503, "This question was not recorded.")),
            Err(error) => plain(&refusal(dialect, 503, &format!("The recording cannot be read: {error}"))),
        };
        self.journal.close(number, |entry| entry.status = Some(response.status));
        response
    }

    /// The answer that is next; none if the question was never recorded.
    fn answer(&self, question: &Question) -> io::Result<Option<Recorded>> {
        let mut played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
        let recorded = self.recording.questions.get(&question.text).map_or(&[][..], Vec::as_slice);
        let had = played.answers.entry(question.text.clone()).or_default();
        if let Some(number) = recorded.get(*had) {
            *had += 1;
            if let Some(by_key) = &question.by_key {
                for key in &by_key.keys {
                    played.pass(by_key, key, *number);
                }
            }
            return self.recording.exchange(*number).map(Some);
        }
        if let Some(by_key) = &question.by_key
            && let Some(answer) = self.put_together(&mut played, question, by_key)?
        {
            return Ok(Some(answer));
        }
        let last_good = recorded.iter().rev().find(|number| self.recording.succeeded(**number));
        if let Some(number) = last_good.or(recorded.last()) {
            return self.recording.exchange(*number).map(Some);
        }
        if played.missed.insert(question.text.clone()) {
            (self.unrecorded)(&question.text);
        }
        Ok(None)
    }

    /// The records of these keys, each as it was shown next or last; none if one was never asked for in this way.
    fn put_together(
        &self,
        played: &mut Played,
        question: &Question,
        by_key: &ByKey,
    ) -> io::Result<Option<Recorded>> {
        let mut records = Vec::new();
        for key in &by_key.keys {
            let id = by_key.of(key);
            let Some(sightings) = self.recording.sightings.get(&id) else { return Ok(None) };
            let next = played.records.get(&id).copied().unwrap_or_default();
            let sighting = sightings.iter().find(|(number, _)| *number >= next).or(sightings.last());
            let Some((number, is_there)) = sighting else { return Ok(None) };
            played.pass(by_key, key, *number);
            if *is_there {
                records.extend(self.recording.record(*number, key, question)?);
            }
        }
        let many = records.len();
        let Answer { status, body, .. } = match (question.dialect, by_key.is_single, records.pop()) {
            (dialect, true, None) => refusal(dialect, 404, "Not Found"),
            (Dialect::Reso, true, Some(record)) => Answer::json(record, many),
            (dialect, _, popped) => {
                records.extend(popped);
                let list = records.join(",");
                Answer::json(
                    match dialect {
                        Dialect::Reso => format!("{{\"value\":[{list}]}}"),
                        Dialect::Spark => format!("{{\"D\":{{\"Success\":true,\"Results\":[{list}]}}}}"),
                    },
                    many,
                )
            }
        };
        Ok(Some(Recorded::put_together(status, body)))
    }

    /// The answer on its way out: its links lead here, and it is of now.
    fn dress(&self, recorded: Recorded, host: &str) -> Response {
        let (from, to) = (&self.recording.origin, format!("http://{host}"));
        let escaped = |text: &str| text.replace('/', "\\/");
        let here = |text: &str| text.replace(&escaped(from), &escaped(&to)).replace(from, &to);
        let Recorded { status, headers, body, .. } = recorded;
        let whole = body.is_some();
        let body = body.map_or_else(|| b"{}".to_vec(), |body| here(&body).into_bytes());
        let mut response =
            Response { status: status.unwrap_or(500), headers: Vec::new(), body, delivery: Delivery::Whole };
        for (name, value) in headers {
            let value = if name == "date" {
                self.clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
            } else {
                here(&value)
            };
            response.headers.push((name, value));
        }
        response.delivery = match (status, whole) {
            (None, _) => Delivery::Never,
            (Some(_), false) => Delivery::Broken { after: 1, reset: false },
            (Some(_), true) => Delivery::Whole,
        };
        response
    }
}

impl Played {
    /// A record was shown as in that exchange: the next one is behind it.
    fn pass(&mut self, by_key: &ByKey, key: &str, number: usize) {
        let next = self.records.entry(by_key.of(key)).or_default();
        *next = (*next).max(number + 1);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("recording", &self.recording.path).finish_non_exhaustive()
    }
}

fn refusal(dialect: Dialect, status: u16, message: &str) -> Answer {
    match dialect {
        Dialect::Reso => Answer::error(ErrorShape::Error, status, i64::from(status), message),
        Dialect::Spark => spark::refuse(status, i64::from(status), message, None),
    }
}

fn plain(answer: &Answer) -> Response {
    Response::new(answer.status, answer.content_type, answer.body.clone().into_bytes())
}
