//! A feed at work: pages made of JSON, committed as jobs do.

use std::collections::BTreeSet;
use std::time::Duration;

use spark_domain::record::{self, Record};
use spark_domain::{Checkpoint, EntityEvent, Hash, Job, RecordKey, Rejected, Relation, Resource, Shape};
use spark_store::{Confirmed, Lease, PageCommit, PageOutcome, RunId, Store};

use crate::harness::Database;

/// How long the feed may serve stale copies, in these tests.
pub(crate) const CACHE_WINDOW: Duration = Duration::from_mins(20);

/// A database, a feed's lease and a run under way.
pub(crate) struct Bench {
    pub(crate) database: Database,
    pub(crate) lease: Lease,
    pub(crate) run: RunId,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let database = Database::migrated().await;
        let lease = database.feed("beaches").await;
        let run = database.store.begin_run(&lease, Resource::Property, Job::Update).await.unwrap();
        Self { database, lease, run }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.database.store
    }

    /// Commits a page of an update that expands nothing, with what `change` makes of it.
    pub(crate) async fn commit(
        &self,
        resource: Resource,
        texts: &[&str],
        change: impl FnOnce(&mut PageCommit<'_>),
    ) -> PageOutcome {
        let shape = shape(resource);
        let (records, rejected) = read(texts, &shape);
        let confirmed = Confirmed::new();
        let checkpoint = Checkpoint::default();
        let mut page = PageCommit {
            run: self.run,
            resource,
            job: Job::Update,
            shape: &shape,
            records: &records,
            rejected: &rejected,
            relations: &[Relation::Media, Relation::Room],
            expanded: &[],
            mark_relations: true,
            confirmed: &confirmed,
            cache_window: CACHE_WINDOW,
            stage_keys: None,
            checkpoint: Some(&checkpoint),
            finish: None,
        };
        change(&mut page);
        self.store().commit_page(&self.lease, &page).await.unwrap()
    }

    /// A page of listings.
    pub(crate) async fn listings(&self, texts: &[&str]) -> PageOutcome {
        self.commit(Resource::Property, texts, |_| {}).await
    }

    /// A page of listings with rooms and media.
    pub(crate) async fn expanded(&self, texts: &[&str]) -> PageOutcome {
        self.commit(Resource::Property, texts, |page| page.expanded = &[Relation::Media, Relation::Room])
            .await
    }
}

pub(crate) fn shape(resource: Resource) -> Shape {
    Store::shape(resource, BTreeSet::new())
}

pub(crate) fn read<'a>(texts: &[&'a str], shape: &Shape) -> (Vec<Record<'a>>, Vec<Rejected>) {
    let (mut records, mut rejected) = (Vec::new(), Vec::new());
    for text in texts {
        match record::read(text, shape) {
            Ok(record) => records.push(record),
            Err(refused) => rejected.push(refused),
        }
    }
    (records, rejected)
}

/// The content of a record as it is compared.
pub(crate) fn hash_of(text: &str, resource: Resource) -> Hash {
    record::read(text, &shape(resource)).unwrap().hash
}

/// A listing with this price and ModificationTimestamp `2026-03-01T12:mm:00Z`.
pub(crate) fn listing(key: &str, minute: u32, price: &str) -> String {
    format!(
        r#"{{"ListingKey":"{key}","ListPrice":{price},"City":"Fernhollow","ModificationTimestamp":"2026-03-01T12:{minute:02}:00Z"}}"#
    )
}

/// The same with further members.
pub(crate) fn listing_with(key: &str, minute: u32, more: &str) -> String {
    format!(r#"{{"ListingKey":"{key}","ModificationTimestamp":"2026-03-01T12:{minute:02}:00Z",{more}}}"#)
}

pub(crate) fn event(resource: Resource, name: &str, sequence: i64) -> EntityEvent {
    EntityEvent { resource, key: key(name), sequence: Some(sequence) }
}

pub(crate) fn key(text: &str) -> RecordKey {
    RecordKey::new(text).unwrap()
}
