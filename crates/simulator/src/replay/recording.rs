//! What a recording holds: which question was answered how, and where each record was seen.
//!
//! The file is gone through once and stays where it is; an answer is read when it is served. A first download is
//! gigabytes; what is remembered of it are questions, and the keys of records that were asked for by name or came
//! with relations: a few hundred bytes each.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, value::RawValue};

use super::question::{Base, Question, Wanted, question};
use crate::{dialect::Dialect, world::Resource};

/// Why there is nothing to replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The folder or the file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no recording in it.
    #[error("{} holds no recording; `run --record {}` writes FEED.jsonl there", .0.display(), .0.display())]
    Nothing(PathBuf),
    /// It goes on over a change of the feed's address or dialect.
    #[error(
        "{} was recorded at more than one base_url or api; part it where they change", .0.display()
    )]
    Mixed(PathBuf),
    /// There are several, and one can be served at an address.
    #[error("{} holds several recordings; name one of the files: {}", path.display(), names.join(", "))]
    Several {
        /// The folder.
        path: PathBuf,
        /// The files in it.
        names: Vec<String>,
    },
}

/// The members of an object, each as it is written.
pub(super) type Object = BTreeMap<String, Box<RawValue>>;

/// A recorded feed.
#[derive(Debug)]
pub struct Recording {
    file: File,
    pub(super) path: PathBuf,
    pub(super) feed: String,
    pub(super) base: Base,
    /// What links in its answers begin with: `https://replication.sparkapi.com`.
    pub(super) origin: String,
    pub(super) extent: Extent,
    lines: Vec<Place>,
    /// The exchanges of a question, by their number; also of a question for pages of whatever size.
    pub(super) questions: HashMap<String, Vec<usize>>,
    pub(super) sizeless: HashMap<String, Vec<usize>>,
    /// Where a record was seen, in the order of exchanges: by the list it is in, and by key.
    pub(super) sightings: HashMap<String, HashMap<String, Vec<Sighting>>>,
    /// What was ever wanted.
    wanted: HashSet<Arc<Wanted>>,
}

/// An answer about a record, and whether it was there.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) exchange: usize,
    pub(super) is_there: bool,
    /// Whether it was asked for by its key, or shown in a list.
    pub(super) by_key: bool,
    /// What was asked for in it.
    pub(super) wanted: Arc<Wanted>,
}

/// How much was recorded, and when.
#[derive(Debug, Clone, Default)]
pub struct Extent {
    /// Exchanges.
    pub exchanges: usize,
    /// Lines that are none: a process was killed while it wrote.
    pub broken_lines: usize,
    /// The first answer's `Date`.
    pub first: Option<String>,
    /// The last answer's.
    pub last: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    length: usize,
    ended_well: bool,
}

/// An answer as it was recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    /// None if there was no answer.
    pub(super) status: Option<u16>,
    pub(super) headers: BTreeMap<String, String>,
    /// None if it did not come to its end.
    pub(super) body: Option<String>,
    /// How it ended then.
    pub(super) failure: Option<String>,
    url: String,
}

impl Recording {
    /// Reads a recording, or the only one in a folder.
    pub fn read(path: &Path) -> Result<Self, ReplayError> {
        let path = only_file(path)?;
        let unreadable = |source| ReplayError::Unreadable { path: path.clone(), source };
        let file = File::open(&path).map_err(unreadable)?;
        let mut reader = BufReader::new(file.try_clone().map_err(unreadable)?);
        let mut recording = Self {
            file,
            path: path.clone(),
            feed: String::new(),
            base: Base::default(),
            origin: String::new(),
            extent: Extent::default(),
            lines: Vec::new(),
            questions: HashMap::new(),
            sizeless: HashMap::new(),
            sightings: HashMap::new(),
            wanted: HashSet::new(),
        };
        let (mut offset, mut line) = (0, Vec::new());
        while reader.read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
            if !recording.take(offset, &line) {
                return Err(ReplayError::Mixed(path));
            }
            offset += line.len() as u64;
            line.clear();
        }
        if recording.lines.is_empty() { Err(ReplayError::Nothing(path)) } else { Ok(recording) }
    }

    /// Takes in a line; false if it is of another feed.
    fn take(&mut self, offset: u64, line: &[u8]) -> bool {
        let value: Value = serde_json::from_slice(line).unwrap_or_default();
        let Some(recorded) = Recorded::of(&value) else {
            self.extent.broken_lines += usize::from(!line.trim_ascii().is_empty());
            return true;
        };
        let number = self.lines.len();
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let base_url = text("base_url");
        let path = target(&base_url);
        let dialect = if text("api") == "spark" { Dialect::Spark } else { Dialect::Reso };
        let base = Base { dialect, path: path.trim_end_matches('/').to_owned() };
        let origin = &base_url[..base_url.len() - path.len()];
        if number == 0 {
            self.feed = text("feed");
            (self.base, self.origin) = (base, origin.to_owned());
        } else if self.base != base || self.origin != origin {
            return false;
        }
        let ended_well = recorded.status == Some(200) && recorded.body.is_some();
        self.lines.push(Place { offset, length: line.len(), ended_well });
        self.extent.exchanges = self.lines.len();
        if let Some(date) = recorded.headers.get("date") {
            self.extent.first.get_or_insert_with(|| date.clone());
            self.extent.last = Some(date.clone());
        }
        let question = question(&self.base, target(&recorded.url));
        self.sight(number, &question, &recorded);
        self.questions.entry(question.text).or_default().push(number);
        self.sizeless.entry(question.sizeless).or_default().push(number);
        true
    }

    /// Notes which records an answer shows, and which of those that were asked for by key were not there. That is
    /// proved by a whole list of nothing else, or by a server's own 404: whatever else has no record says nothing
    /// about it.
    ///
    /// Of other lists only those count that bring relations along: the next question for them may be by key.
    fn sight(&mut self, number: usize, question: &Question, recorded: &Recorded) {
        let Question { by_key, wanted, .. } = question;
        if by_key.is_none() && wanted.relations.is_empty() {
            return;
        }
        let (there, is_whole): (HashSet<String>, bool) = if let Some((records, is_whole)) = recorded.records()
        {
            let key = |record: &RawValue| key(record, question.dialect, question.resource);
            (records.iter().filter_map(|record| key(record)).collect(), is_whole)
        } else {
            (HashSet::new(), recorded.is_absence() && by_key.as_ref().is_some_and(|by_key| by_key.is_single))
        };
        let asked = by_key.as_ref().map_or(&[][..], |by_key| &by_key.keys);
        // A server that ignores the filter shows anything.
        let proves_absence = is_whole
            && by_key.as_ref().is_some_and(|by_key| !by_key.goes_on)
            && there.iter().all(|key| asked.contains(key));
        let wanted = self.wanted.get(wanted).map_or_else(|| Arc::new(wanted.clone()), Arc::clone);
        self.wanted.insert(Arc::clone(&wanted));
        let place = self.sightings.entry(wanted.place.clone()).or_default();
        let mut note = |key: String, is_there| {
            let (by_key, wanted) = (by_key.is_some(), Arc::clone(&wanted));
            place.entry(key).or_default().push(Sighting { exchange: number, is_there, by_key, wanted });
        };
        for key in asked.iter().filter(|key| proves_absence && !there.contains(*key)) {
            note(key.clone(), false);
        }
        for key in there {
            note(key, true);
        }
    }

    pub(super) fn exchange(&self, number: usize) -> io::Result<Recorded> {
        let Place { offset, length, .. } = self.lines[number];
        let mut line = vec![0; length];
        self.file.read_exact_at(&mut line, offset)?;
        let value: Value = serde_json::from_slice(&line)?;
        Recorded::of(&value).ok_or_else(|| io::Error::other("the recording has changed since it was read"))
    }

    /// Whether an exchange ended well.
    pub(super) fn succeeded(&self, number: usize) -> bool {
        self.lines[number].ended_well
    }

    /// These records as that exchange showed them, by their keys.
    pub(super) fn records(
        &self,
        number: usize,
        question: &Question,
        keys: &HashSet<&str>,
    ) -> io::Result<HashMap<String, Box<RawValue>>> {
        let (records, _) = self.exchange(number)?.records().unwrap_or_default();
        let with_key =
            |record: Box<RawValue>| Some((key(&record, question.dialect, question.resource)?, record));
        let records = records.into_iter().filter_map(with_key);
        Ok(records.filter(|(key, _)| keys.contains(key.as_str())).collect())
    }
}

impl Recorded {
    /// One that was never sent as a whole, but in its parts.
    pub(super) fn put_together(status: u16, body: String) -> Self {
        let headers = [("content-type", "application/json"), ("date", "")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { status: Some(status), headers, body: Some(body), failure: None, url: String::new() }
    }

    fn of(value: &Value) -> Option<Self> {
        let headers = value["headers"].as_object()?.iter();
        value["base_url"].as_str().filter(|url| url.contains("://"))?;
        Some(Self {
            status: match &value["status"] {
                Value::Null => None,
                status => Some(u16::try_from(status.as_u64()?).ok()?),
            },
            headers: headers
                .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect::<Option<_>>()?,
            body: value["body"].as_str().map(str::to_owned),
            failure: value["failure"].as_str().map(str::to_owned),
            url: value["url"].as_str()?.to_owned(),
        })
    }

    /// The records of an answer that has some, and whether these are all; one that was asked for alone is its whole
    /// answer.
    fn records(&self) -> Option<(Vec<Box<RawValue>>, bool)> {
        let body = self.body.as_deref().filter(|_| self.status == Some(200))?;
        let mut members: Object = serde_json::from_str(body).ok()?;
        if let Some(envelope) = members.get("D") {
            members = serde_json::from_str(envelope.get()).ok()?;
        }
        if members.contains_key("error")
            || members.get("Success").is_some_and(|success| success.get() != "true")
        {
            return None;
        }
        // A native list goes on behind its token, a list of OData's behind its link.
        let goes_on = ["@odata.nextLink", "SkipToken"].iter().any(|name| members.contains_key(*name));
        match members.get("value").or(members.get("Results")) {
            Some(list) => Some((serde_json::from_str(list.get()).ok()?, !goes_on)),
            None => Some((vec![RawValue::from_string(body.to_owned()).ok()?], false)),
        }
    }

    /// Whether a server says itself that there is no such record; a proxy says it in HTML.
    fn is_absence(&self) -> bool {
        self.status == Some(404)
            && self.body.as_deref().is_some_and(|body| body.trim_start().starts_with('{'))
    }
}

fn key(record: &RawValue, dialect: Dialect, resource: Option<Resource>) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(record.get()).ok()?;
    let field = match dialect {
        Dialect::Reso => resource?.key_field(),
        Dialect::Spark => "Id",
    };
    serde_json::from_str(members.get(field)?.get()).ok()
}

/// What stands behind the origin of an address.
fn target(url: &str) -> &str {
    let behind_scheme = url.find("://").map_or(0, |at| at + 3);
    url[behind_scheme..].find('/').map_or("", |at| &url[behind_scheme + at..])
}

fn only_file(path: &Path) -> Result<PathBuf, ReplayError> {
    let unreadable = |source| ReplayError::Unreadable { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(path.to_owned());
    }
    let files = std::fs::read_dir(path).map_err(unreadable)?;
    let files = files.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
    let mut tapes: Vec<PathBuf> =
        files.into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "jsonl")).collect();
    tapes.sort();
    match tapes.as_slice() {
        [] => Err(ReplayError::Nothing(path.to_owned())),
        [only] => Ok(only.clone()),
        several => {
            let names = several.iter().map(|file| file.display().to_string()).collect();
            Err(ReplayError::Several { path: path.to_owned(), names })
        }
    }
}
