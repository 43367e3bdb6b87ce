//! Keeps a feed's answers as they came, for bug reports and for tests.
//!
//! A recording is a file of JSON lines: an exchange each, in the order in which their answers ended. What an answer
//! says is kept as text, but for two things that are taken out before anything is written: our secrets, always; and
//! what people wrote about homes and each other, unless it is asked for ([`Values`]). Questions to a token endpoint
//! are not recorded: their answers are secrets.

mod redact;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderName, LOCATION, RETRY_AFTER};
use serde::Serialize;
use spark_domain::{FeedName, Resource};
use url::Url;

use crate::dialect::Api;
use crate::quote::Forms;

/// A recording that is forgotten must not fill a disk.
const MOST_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// What an answer's headers tell us. The rest is the business of the servers between.
const KEPT_HEADERS: [HeaderName; 4] = [DATE, CONTENT_TYPE, RETRY_AFTER, LOCATION];

/// What becomes of the values in recorded answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Values {
    /// Keys, stamps, dates, types, statuses, prices and counts stay; of everything else only the shape does.
    #[default]
    Redacted,
    /// All stay: the recording is licensed data of the MLS.
    Kept,
}

/// Writes the recording of one feed; clones write to the same.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Recording>);

/// The file of a recording cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("no recording can be kept in {}; name a folder of this process' own", path.display())]
pub struct RecorderError {
    path: PathBuf,
    source: io::Error,
}

#[derive(Debug)]
struct Recording {
    path: PathBuf,
    values: Values,
    tape: Mutex<Tape>,
}

#[derive(Debug)]
struct Tape {
    file: File,
    most_bytes: u64,
    is_over: bool,
}

/// A question, and whose.
pub(crate) struct Asked<'a> {
    pub(crate) feed: &'a FeedName,
    pub(crate) api: Api,
    pub(crate) base_url: &'a Url,
    pub(crate) url: &'a Url,
}

/// An exchange that is under way.
pub(crate) struct Heard {
    recording: Arc<Recording>,
    secrets: [Arc<Forms>; 2],
    line: Answered,
}

/// A line of a recording; a replay reads the same members.
#[derive(Serialize)]
struct Answered {
    feed: String,
    /// Its dialect.
    api: &'static str,
    /// The service root.
    base_url: String,
    /// What was asked for.
    url: String,
    /// None if there was no answer.
    status: Option<u16>,
    headers: BTreeMap<String, String>,
    /// As unpacked; none if it did not come to its end.
    body: Option<String>,
    /// How it ended otherwise: `timeout`, `too_big` or `broken`.
    failure: Option<&'static str>,
}

impl Recorder {
    /// Opens `FOLDER/FEED.jsonl`, or `FOLDER/FEED.values.jsonl` for one that is not redacted; what it holds already
    /// stays before what comes.
    pub fn open(folder: &Path, feed: &FeedName, values: Values) -> Result<Self, RecorderError> {
        let path = folder.join(match values {
            Values::Redacted => format!("{feed}.jsonl"),
            Values::Kept => format!("{feed}.values.jsonl"),
        });
        match Tape::open(folder, &path, MOST_BYTES) {
            Ok(tape) => Ok(Self(Arc::new(Recording { path, values, tape: Mutex::new(tape) }))),
            Err(source) => Err(RecorderError { path, source }),
        }
    }

    /// The file that is written.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Listens to a question that is about to be sent; these are the secrets that its answer may repeat.
    pub(crate) fn listen(&self, asked: &Asked<'_>, secrets: [Arc<Forms>; 2]) -> Heard {
        let line = Answered {
            feed: asked.feed.to_string(),
            api: asked.api.as_str(),
            base_url: asked.base_url.to_string(),
            url: asked.url.to_string(),
            status: None,
            headers: BTreeMap::new(),
            body: None,
            failure: None,
        };
        Heard { recording: Arc::clone(&self.0), secrets, line }
    }
}

impl Heard {
    /// Takes in the head of the answer.
    pub(crate) fn head(&mut self, response: &Response) {
        self.line.status = Some(response.status().as_u16());
        for name in KEPT_HEADERS {
            if let Some(value) = response.headers().get(&name).and_then(|value| value.to_str().ok()) {
                self.line.headers.insert(name.to_string(), value.to_owned());
            }
        }
    }

    /// Writes the exchange and gives the body back. Whatever goes wrong is the recording's own affair: replication
    /// goes on.
    pub(crate) async fn keep(mut self, body: Vec<u8>) -> Vec<u8> {
        // On a thread of its own, and waited for: an answer is in the file before its page is in the database.
        let written = tokio::task::spawn_blocking(move || {
            // One at a time: each holds another copy of its page, which no allowance knows of.
            let recording = Arc::clone(&self.recording);
            let mut tape = recording.lock();
            if tape.is_over {
                return body;
            }
            self.line.body = Some(recording.redacted(&self.line, &body, &self.secrets));
            self.write(&mut tape);
            body
        });
        written.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an answer was lost while it was recorded; it is asked for again");
            Vec::new()
        })
    }

    /// Writes an exchange that did not come to its end.
    pub(crate) async fn keep_failure(mut self, failure: &'static str) {
        self.line.failure = Some(failure);
        let written = tokio::task::spawn_blocking(move || {
            let recording = Arc::clone(&self.recording);
            let mut tape = recording.lock();
            self.write(&mut tape);
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "a failure could not be recorded");
        }
    }

    fn write(&mut self, tape: &mut Tape) {
        let Self { recording, secrets, line } = self;
        for text in line.headers.values_mut().chain([&mut line.url]) {
            redact::mask(text, secrets);
        }
        recording.append(tape, line);
    }
}

impl Recording {
    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A body as it may be written. `$metadata` and lookups are the words of which records are made, and hold none.
    fn redacted(&self, line: &Answered, body: &[u8], secrets: &[Arc<Forms>]) -> String {
        let is_open = line.status == Some(200) && holds_no_record(&line.base_url, &line.url);
        let values = if is_open { Values::Kept } else { self.values };
        redact::redacted(&String::from_utf8_lossy(body), values, secrets)
    }

    fn append(&self, tape: &mut Tape, line: &Answered) {
        if tape.is_over {
            return;
        }
        let (feed, path) = (&line.feed, self.path.display());
        match tape.append(line) {
            Ok(bytes) if bytes < tape.most_bytes => {}
            Ok(bytes) => {
                tape.is_over = true;
                tracing::warn!(%feed, %path, bytes, "the recording has its full length and ends here");
            }
            Err(error) => {
                tape.is_over = true;
                tracing::error!(%feed, %path, %error, "the recording cannot be written and ends here");
            }
        }
    }
}

impl Tape {
    fn open(folder: &Path, path: &Path, most_bytes: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        // Two writers would cut each other's lines.
        file.try_lock().map_err(|_| io::Error::other("another process records into it"))?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let mut bytes = file.seek(SeekFrom::End(0))?;
        if bytes > 0 {
            // A process that was killed may have left half a line.
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                bytes += 1;
            }
        }
        Ok(Self { file, most_bytes, is_over: bytes >= most_bytes })
    }

    /// Writes a line; how long the file is now.
    fn append(&mut self, line: &Answered) -> io::Result<u64> {
        let mut writer = BufWriter::new(&self.file);
        serde_json::to_writer(&mut writer, line)?;
        writer.write_all(b"\n")?;
        writer.flush()?;
        drop(writer);
        Ok(self.file.metadata()?.len())
    }
}

fn holds_no_record(base_url: &str, url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let place = path.strip_prefix(base_url.trim_end_matches('/')).unwrap_or_default();
    let set = place.split('(').next().unwrap_or_default();
    set == "/$metadata" || set.strip_prefix('/') == Some(Resource::Lookup.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(body: &str) -> Answered {
        Answered {
            feed: "beaches".to_owned(),
            api: "spark",
            base_url: "https://replication.sparkapi.com/v1".to_owned(),
            url: "https://replication.sparkapi.com/v1/listings?_limit=1".to_owned(),
            status: Some(200),
            headers: BTreeMap::new(),
            body: Some(body.to_owned()),
            failure: None,
        }
    }

    fn bodies(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| line["body"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_recording_goes_on_behind_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, path) = (folder.path().join("deep/er"), folder.path().join("deep/er/beaches.jsonl"));
        Tape::open(&folder, &path, MOST_BYTES).unwrap().append(&exchange("first")).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it is licensed data");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"feed\":\"bea").unwrap();
        Tape::open(&folder, &path, MOST_BYTES).unwrap().append(&exchange("second")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 3 && lines[0].contains("first") && lines[2].contains("second"), "{text}");
    }

    #[test]
    fn a_recording_ends_when_it_is_full_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beaches.jsonl");
        let tape = Mutex::new(Tape::open(folder.path(), &path, 1_000).unwrap());
        let recording = Recording { path: path.clone(), values: Values::Kept, tape };
        for number in 0..100 {
            recording.append(&mut recording.lock(), &exchange(&format!("{number}")));
        }
        let kept = bodies(&path);
        assert!((4..20).contains(&kept.len()), "{kept:?}");
        assert_eq!(kept[1], "1");
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let error = Recorder::open(Path::new("/dev/null/x"), &"beaches".parse().unwrap(), Values::Redacted);
        let message = error.err().unwrap().to_string();
        assert!(
            message.contains("/dev/null/x/beaches.jsonl") && message.contains("of this process' own"),
            "{message}"
        );
    }

    #[test]
    fn only_one_process_writes_a_recording_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let feed = "beaches".parse().unwrap();
        let path = folder.path().join("beaches.jsonl");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let first = Recorder::open(folder.path(), &feed, Values::Redacted).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Recorder::open(folder.path(), &feed, Values::Redacted).is_err(), "two writers");
        let kept = Recorder::open(folder.path(), &feed, Values::Kept).unwrap();
        assert_ne!(first.path(), kept.path(), "a file is redacted or not");
    }

    #[test]
    fn lookups_and_metadata_hold_no_record() {
        let base = "https://h/Version/3/Reso/OData/";
        let of = |place: &str| holds_no_record(base, &format!("https://h/Version/3/Reso/OData/{place}"));
        assert!(of("Lookup?$top=3") && of("Lookup('a')") && of("$metadata"));
        assert!(!of("Property?$expand=Lookup") && !of("Property/Lookup") && !of(""));
        assert!(!holds_no_record(base, "https://other/Lookup"));
    }
}
