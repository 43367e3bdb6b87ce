//! The latest view: read when somebody looks, at most once a second, however many look.
//!
//! While the database is away the last view is shown, judged by the present time, and says since when.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use spark_domain::{FeedName, Timestamp};
use spark_store::Store;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::reading;
use super::view::{Since, View};
use crate::clock;

/// A view this young is shown as it is.
const YOUNG: Duration = Duration::from_secs(1);

/// Longer than this the database is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// How late a feed may be before that is trouble.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Objective {
    /// Of resources that are followed by updates.
    pub(crate) lag: Duration,
    /// From one reading of the lookups to the next; late are they after two.
    pub(crate) daily_every: Duration,
}

impl Objective {
    /// Of a feed that is in the database and not in our configuration.
    pub(super) const DEFAULT: Self =
        Self { lag: Duration::from_mins(30), daily_every: Duration::from_hours(24) };
}

/// Reads views.
pub(crate) struct Latest {
    store: Store,
    objectives: BTreeMap<FeedName, Objective>,
    last: Mutex<Option<Read>>,
}

struct Read {
    view: View,
    at: Instant,
}

impl Latest {
    pub(crate) fn new(store: Store, objectives: BTreeMap<FeedName, Objective>) -> Self {
        Self { store, objectives, last: Mutex::new(None) }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The view, and the time by which it is judged.
    pub(crate) async fn view(&self) -> (View, Timestamp) {
        // Whoever comes meanwhile waits here and takes what the first one read.
        let mut last = self.last.lock().await;
        if last.as_ref().is_none_or(|read| read.at.elapsed() > YOUNG || read.view.database_away.is_some()) {
            match timeout(PATIENCE, reading::read(&self.store, &self.objectives)).await {
                Ok(Ok(view)) => *last = Some(Read { view, at: Instant::now() }),
                Ok(Err(error)) => away(&mut last, format!("{:#}", anyhow::Error::new(error))),
                Err(_) => away(&mut last, format!("no answer within {} s", PATIENCE.as_secs())),
            }
        }
        let Some(read) = last.as_ref() else { return (View::empty(clock::now()), clock::now()) };
        let now = read.view.read_at + TimeDelta::from_std(read.at.elapsed()).unwrap_or_default();
        let mut view = read.view.clone();
        view.judge(now);
        (view, now)
    }
}

fn away(last: &mut Option<Read>, reason: String) {
    let now = clock::now();
    let read = last.get_or_insert_with(|| Read { view: View::empty(now), at: Instant::now() });
    match &mut read.view.database_away {
        Some(since) => since.reason = reason,
        none => *none = Some(Since { at: now, reason }),
    }
}
