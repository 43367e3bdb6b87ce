//! The nouns of a Spark replication, and the decisions about them.
//!
//! This room is the ground of the house. It knows no network, no database, no clock and no dice: time and
//! chance arrive as arguments, and a decision leaves as a value that another room carries out. That makes
//! every rule here testable by properties, and lets the dangerous ones ([`plan::purge`]) be read on one page.
//!
//! JSON is met in [`record`] alone, where a record is read once: `serde_json` serves there as the tokenizer.
//! No type of this room is serializable; the doors (fetcher, store) own their own shapes.

pub mod feed;
pub mod resource;
pub mod relation;
pub mod expansion;
pub mod key;
pub mod job;
pub mod event;
pub mod record;
pub mod fingerprint;
pub mod query;
pub mod page;
pub mod walk;
pub mod checkpoint;
pub mod recovery;
pub mod plan;
pub mod breakage;

pub use breakage::Breakage;
pub use checkpoint::Checkpoint;
pub use event::EntityEvent;
pub use expansion::{Expansion, MediaPart};
pub use feed::FeedName;
pub use fingerprint::Fingerprint;
pub use job::Job;
pub use key::RecordKey;
pub use page::{Page, PageHead};
pub use query::{Filter, KeyListForm, Query};
pub use record::{Hash, Record, Rejected, Shape};
pub use recovery::Recovery;
pub use relation::Relation;
pub use resource::Resource;
pub use walk::Walk;

/// A moment in UTC. Spark's stamps have whole seconds; Postgres' have microseconds.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
