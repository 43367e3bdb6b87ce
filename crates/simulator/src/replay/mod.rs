//! Serves a feed again as it was recorded.
//!
//! Whoever asks the same questions gets the same answers in the same order, refusals and broken connections too;
//! at the end of the recording each question keeps its last good answer, as of a market that stands still. Records
//! that are asked for by key are put together as they were next shown, or last, since which keys and relations go
//! into one question depends on the moment. What was never recorded is refused with 503: that proves nothing, and
//! so nothing is deleted for it.

mod question;
mod recording;
mod view;

use std::{
    collections::{HashMap, HashSet, hash_map},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{net::TcpListener, task::JoinHandle};

pub use self::recording::{Extent, Recording, ReplayError};
use self::{
    question::{ByKey, Question, Wanted, question},
    recording::Recorded,
    view::View,
};
use crate::{
    clock::Clock,
    dialect::Dialect,
    faults::ErrorShape,
    http::{self, Delivery, Request, Response},
    journal::{Entry, Journal},
    odata::Answer,
    server::refusal,
};

/// Spark's code for a question whose answer takes too long.
const TOO_MUCH: i64 = 1515;

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
    /// The first exchange that may show a record next: by the list it is in, and by key.
    records: HashMap<String, HashMap<String, usize>>,
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
        let refuse = |code, message: &str| plain(&refusal(dialect, ErrorShape::Error, 503, code, message));
        let response = match self.answer(&question(&self.recording.base, &request.target)) {
            // Whoever waited in vain, or had too much, asks for less; that can be had without waiting.
            Ok(Some(recorded)) if recorded.failure.as_deref().is_some_and(|how| how != "broken") => {
                refuse(TOO_MUCH, "This answer was too slow or too large.")
            }
            Ok(Some(recorded)) => self.dress(recorded, host),
            Ok(None) => refuse(503, "This question was not recorded."),
            Err(error) => refuse(503, &format!("The recording cannot be read: {error}")),
        };
        self.journal.close(number, |entry| entry.status = Some(response.status));
        response
    }

    /// The answer that is next; none if the question was never recorded.
    fn answer(&self, question: &Question) -> io::Result<Option<Recorded>> {
        match self.choose(question) {
            Choice::Exchange(number) => self.recording.exchange(number).map(Some),
            Choice::Records(views) => self.put_together(question, &views).map(Some),
            Choice::Nothing => Ok(None),
        }
    }

    /// What answers a question next. Nothing is read here: everybody waits for it.
    fn choose(&self, question: &Question) -> Choice<'_> {
        let mut played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
        let Recording { questions, sizeless, .. } = &self.recording;
        let (text, recorded) = match questions.get(&question.text) {
            Some(recorded) => (&question.text, recorded.as_slice()),
            None => (&question.sizeless, sizeless.get(&question.sizeless).map_or(&[][..], Vec::as_slice)),
        };
        let had = played.answers.entry(text.clone()).or_default();
        if let Some(number) = recorded.get(*had) {
            *had += 1;
            if let Some(by_key) = &question.by_key {
                by_key.keys.iter().for_each(|key| played.pass(&question.wanted.place, key, *number));
            }
            return Choice::Exchange(*number);
        }
        if let Some(by_key) = &question.by_key
            && let Some(views) = self.views(&mut played, by_key, &question.wanted)
        {
            return Choice::Records(views);
        }
        let last_good = recorded.iter().rev().find(|number| self.recording.succeeded(**number));
        if let Some(number) = last_good.or(recorded.last()) {
            return Choice::Exchange(*number);
        }
        if played.missed.insert(question.text.clone()) {
            (self.unrecorded)(&question.text);
        }
        Choice::Nothing
    }

    /// Where each of these records was shown next, or last; none if one was never shown with all that is wanted.
    fn views(&self, played: &mut Played, by_key: &ByKey, wanted: &Wanted) -> Option<Vec<View<'_>>> {
        let place = self.recording.sightings.get(&wanted.place)?;
        let view = |key: &String| {
            let (key, sightings) = place.get_key_value(key)?;
            View::find(key, sightings, played.next(&wanted.place, key), wanted)
        };
        let views = by_key.keys.iter().map(view).collect::<Option<Vec<_>>>()?;
        // Lists are not gone through key by key.
        for view in views.iter().filter(|view| view.record.by_key) {
            played.pass(&wanted.place, view.key, view.record.exchange);
        }
        Some(views)
    }

    fn put_together(&self, question: &Question, views: &[View<'_>]) -> io::Result<Recorded> {
        let (mut pages, keys) = (HashMap::new(), views.iter().map(|view| view.key).collect());
        for number in views.iter().flat_map(View::exchanges) {
            if let hash_map::Entry::Vacant(page) = pages.entry(number) {
                page.insert(self.recording.records(number, question, &keys)?);
            }
        }
        let records = views.iter().filter_map(|view| view.record(&pages, &question.wanted));
        let records = records.collect::<serde_json::Result<Vec<_>>>()?;
        let records: Vec<&str> = records.iter().map(|record| record.get()).collect();
        let is_single = question.by_key.as_ref().is_some_and(|by_key| by_key.is_single);
        let answer = match (question.dialect, is_single, records.as_slice()) {
            (dialect, true, []) => refusal(dialect, ErrorShape::Error, 404, 404, "Not Found"),
            (Dialect::Reso, true, [record, ..]) => Answer::json((*record).to_owned(), 1),
            (Dialect::Reso, false, _) => {
                Answer::json(format!("{{\"value\":[{}]}}", records.join(",")), records.len())
            }
            (Dialect::Spark, ..) => {
                let list = records.join(",");
                Answer::json(format!("{{\"D\":{{\"Success\":true,\"Results\":[{list}]}}}}"), records.len())
            }
        };
        Ok(Recorded::put_together(answer.status, answer.body))
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
            let value = if name == "date" { self.clock.http_date() } else { here(&value) };
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

/// What a question is answered with.
enum Choice<'a> {
    Exchange(usize),
    Records(Vec<View<'a>>),
    Nothing,
}

impl Played {
    /// The first exchange that may show this record next.
    fn next(&self, place: &str, key: &str) -> usize {
        self.records.get(place).and_then(|next| next.get(key)).copied().unwrap_or_default()
    }

    /// A record was shown as in that exchange: the next one is behind it.
    fn pass(&mut self, place: &str, key: &str, number: usize) {
        let next = self.records.entry(place.to_owned()).or_default().entry(key.to_owned()).or_default();
        *next = (*next).max(number + 1);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("recording", &self.recording.path).finish_non_exhaustive()
    }
}

fn plain(answer: &Answer) -> Response {
    Response::new(answer.status, answer.content_type, answer.body.clone().into_bytes())
}
