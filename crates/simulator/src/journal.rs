//! What was asked of the simulator, request by request, in the order of arrival.
//!
//! Tests prove with it what a client did *not* do: not ask twice, not ask too often, not send the token
//! elsewhere. So an entry is written when a request arrives, before anything can go wrong with its answer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use crate::{dialect::Dialect, http::Request, odata, question, spark, world::Resource};

/// A long demo must not fill memory with its own history.
const KEPT: usize = 100_000;

/// The list of requests; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    book: Mutex<Book>,
    written: Notify,
}

#[derive(Debug, Default)]
struct Book {
    entries: VecDeque<Entry>,
    next: u64,
}

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Counts from 0 and never repeats, also not after [`Journal::clear`].
    pub number: u64,
    /// When it arrived, by the simulator's clock.
    pub at: DateTime<Utc>,
    /// When it arrived, by the machine's.
    pub instant: Instant,
    /// The method.
    pub method: String,
    /// Which of the two surfaces was asked.
    pub dialect: Dialect,
    /// The path, percent-decoded.
    pub path: String,
    /// The entity set it names, if any: `Property` also for `Property('1')` and for `/v1/listings`. A list of
    /// accounts of both kinds has none.
    pub resource: Option<String>,
    /// The key it names, if any.
    pub key: Option<String>,
    /// What stood behind `?`, as sent.
    pub raw_query: String,
    /// The same, percent-decoded, in the order sent.
    pub params: Vec<(String, String)>,
    /// A native question in OData's words, as in `$top` for `_limit`; empty on the RESO side.
    pub asked: Vec<(String, String)>,
    /// The whole `Authorization` header, so that a test can look for a token where none belongs.
    pub authorization: Option<String>,
    /// Whether that header carried the right token in a known scheme.
    pub token_right: bool,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The `Accept-Encoding` header.
    pub accept_encoding: Option<String>,
    /// The status answered; `None` while the answer is under way, and if the connection was reset instead.
    pub status: Option<u16>,
    /// Records in the answer.
    pub records: usize,
    /// Bytes of the answer's body as sent.
    pub bytes: usize,
    /// The names of the faults that took part.
    pub faults: Vec<&'static str>,
}

impl Entry {
    pub(crate) fn of(request: &Request, at: DateTime<Utc>) -> Self {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let path = odata::decode(path);
        let header = |name| request.header(name).map(str::to_owned);
        let params = odata::params(query);
        let dialect = Dialect::of(&path);
        let (resource, key) = match dialect {
            Dialect::Reso => odata::entity(&path),
            Dialect::Spark => {
                let (collection, key, _) = spark::place(&path);
                let filter = params.iter().find(|(name, _)| name == "_filter").map(|(_, value)| &**value);
                let resource = spark::resource(collection, filter);
                (resource.map(|resource| resource.as_str().to_owned()), key.map(str::to_owned))
            }
        };
        Self {
            dialect,
            number: 0,
            at,
            instant: Instant::now(),
            method: request.method.clone(),
            resource,
            key,
            path,
            raw_query: query.to_owned(),
            params,
            asked: Vec::new(),
            authorization: header("authorization"),
            token_right: false,
            user_agent: header("user-agent"),
            accept_encoding: header("accept-encoding"),
            status: None,
            records: 0,
            bytes: 0,
            faults: Vec::new(),
        }
    }

    /// Says the question again in OData's words, once it is known what it is about.
    pub(crate) fn translate(&mut self) {
        if self.dialect == Dialect::Spark {
            let resource = self.resource.as_deref().and_then(Resource::named);
            self.asked = question::translated(resource, &self.params);
        }
    }

    /// The decoded value of a query option, as in `param("$top")`; a native request answers to OData's names and
    /// to its own.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut all = self.params.iter().chain(&self.asked);
        all.find(|(param, _)| param == name).map(|(_, value)| &**value)
    }

    /// The decoded path and query, for searching; the query of a native request in OData's words.
    pub fn url(&self) -> String {
        let params = match self.dialect {
            Dialect::Reso => &self.params,
            Dialect::Spark => &self.asked,
        };
        let query: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}?{}", self.path, query.join("&"))
    }

    /// Whether anything is filtered; the type of an account is no filter.
    pub fn has_filter(&self) -> bool {
        self.param("$filter").is_some()
    }

    /// Whether this relation is to come along, by its RESO name or, as a part of it, by its native one.
    pub fn expands(&self, relation: &str) -> bool {
        let listed = |expand: &str| expand.split(',').any(|part| part.trim() == relation);
        ["$expand", "_expand"].into_iter().filter_map(|name| self.param(name)).any(listed)
    }

    /// The page size asked for.
    pub fn top(&self) -> Option<usize> {
        self.param("$top")?.parse().ok()
    }

    /// Whether the size of the whole list is asked for.
    pub fn counts(&self) -> bool {
        self.param("$count") == Some("true")
    }

    /// The token that this page goes on from; `None` on a first page.
    pub fn after(&self) -> Option<&str> {
        self.param("$skiptoken").filter(|token| !token.is_empty())
    }

    /// The keys that are asked for by name, in a path or in a filter.
    pub fn keys(&self) -> Option<Vec<String>> {
        if let Some(key) = &self.key {
            return Some(vec![key.clone()]);
        }
        let key_field = Resource::named(self.resource.as_deref()?)?.key_field();
        let filter = self.param("$filter")?;
        let unquoted = |key: &str| key.trim().trim_matches('\'').replace("''", "'");
        if let Some((_, listed)) = filter.split_once(&format!("{key_field} in (")) {
            let listed = listed.split_once(')').map_or(listed, |(keys, _)| keys);
            return Some(listed.split(',').map(unquoted).collect());
        }
        let either = format!("{key_field} eq ");
        let named = filter.split(&either).skip(1).filter_map(|rest| rest.split([' ', ')']).next());
        let keys: Vec<String> = named.map(unquoted).collect();
        (!keys.is_empty()).then_some(keys)
    }

    /// Whether it is a page of a list of keys: nothing is selected but keys, perhaps with their stamps, and no
    /// key is asked for by name.
    pub fn is_key_list(&self) -> bool {
        let bare = |field: &str| field.ends_with("Key") || field == "ModificationTimestamp";
        let selected = self.param("$select").is_some_and(|fields| fields.split(',').all(|f| bare(f.trim())));
        selected && self.keys().is_none()
    }
}

impl Journal {
    /// All requests since the last [`Journal::clear`], oldest first.
    pub fn requests(&self) -> Vec<Entry> {
        self.book().entries.iter().cloned().collect()
    }

    /// Those for one entity set, by its name.
    pub fn of(&self, resource: &str) -> Vec<Entry> {
        let about = |entry: &&Entry| entry.resource.as_deref() == Some(resource);
        self.book().entries.iter().filter(about).cloned().collect()
    }

    /// Forgets what was asked so far.
    pub fn clear(&self) {
        self.book().entries.clear();
    }

    /// Waits for a request that answers the description, also an earlier one; `None` when time is up.
    pub async fn wait_for(&self, wanted: impl Fn(&Entry) -> bool, patience: Duration) -> Option<Entry> {
        tokio::time::timeout(patience, async {
            loop {
                // Listening starts before looking: what is written in between wakes us.
                let written = self.0.written.notified();
                let found = self.book().entries.iter().find(|entry| wanted(entry)).cloned();
                if let Some(entry) = found {
                    return entry;
                }
                written.await;
            }
        })
        .await
        .ok()
    }

    /// The most requests that arrived in any window of that length, by the machine's clock.
    pub fn most_in_any(&self, window: Duration) -> usize {
        let book = self.book();
        let times: Vec<Instant> = book.entries.iter().map(|entry| entry.instant).collect();
        let mut first = 0;
        let mut most = 0;
        for (last, time) in times.iter().enumerate() {
            while time.duration_since(times[first]) > window {
                first += 1;
            }
            most = most.max(last - first + 1);
        }
        most
    }

    pub(crate) fn open(&self, mut entry: Entry) -> u64 {
        let mut book = self.book();
        let number = book.next;
        entry.number = number;
        book.next += 1;
        if book.entries.len() == KEPT {
            book.entries.pop_front();
        }
        book.entries.push_back(entry);
        drop(book);
        self.0.written.notify_waiters();
        number
    }

    pub(crate) fn close(&self, number: u64, fill: impl FnOnce(&mut Entry)) {
        let mut book = self.book();
        if let Some(entry) = book.entries.iter_mut().rev().find(|entry| entry.number == number) {
            fill(entry);
        }
        drop(book);
        self.0.written.notify_waiters();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
