//! The only room that speaks SQL: one method per thing that must happen whole.
//!
//! Other rooms hold a [`Store`] and call methods in the domain's nouns; no row, no statement and no sqlx type
//! leaves this crate. The methods stand in one file per table, each an `impl Store` of its own, with the SQL
//! beside the function that runs it.
//!
//! Rules: every unit of work goes through `connection::Unit`, because a future of sqlx that is dropped half
//! way leaves its connection in an unknown state. Every write for a feed opens with the check of its
//! [`Lease`]. Shared rows are written last and in the order `mls`, `relation_set`, `job_run`, `checkpoint`,
//! `resource`, keys ascending, so that two jobs of a resource do not wait for each other crosswise.

#[macro_use]
mod statements;
mod boundary;
#[cfg(feature = "failpoints")]
pub mod failpoint;
mod connection;
mod error;
mod text;
mod migrate;
mod lease;
mod feed;
mod resource;
mod expansion;
mod checkpoint;
mod job_run;
mod columns;
mod commit_page;
mod relations;
mod sweep;
mod purge;
mod reread;
mod event;
mod quarantine;
mod records_read;
mod refill;
mod budget;
mod oauth_token;
mod operator_request;
mod metadata;
mod freshness;
mod status;

pub use budget::{BudgetRival, BudgetState, Reservation, Silenced};
pub use checkpoint::JobState;
#[doc(hidden)]
pub use columns::typed_columns;
pub use commit_page::{Confirmed, PageCommit, PageOutcome};
pub use connection::{Observer, Operation, PoolState, Settings, Store};
pub use error::{Cause, Error, PostgresSaid};
pub use event::{DueEvent, EventQueue, EventRead, Receipt};
pub use expansion::ExpansionOff;
pub use feed::{Blocked, FeedRegistration, FeedState, Paused};
pub use freshness::Freshness;
pub use job_run::{JobRun, Outcome, RunEnd, RunId, RunTotals};
pub use lease::{Lease, LeaseHolder};
pub use metadata::StoredMetadata;
pub use oauth_token::{Spent, StoredToken, TokenLife};
pub use operator_request::{OperatorRequest, RequestId, RequestKind, RequestResult};
pub use purge::{Approved, NewPurgePlan, PlanId, PurgePlan};
pub use quarantine::Quarantined;
pub use records_read::StoredRecord;
pub use relations::{
    DueRelation, DueRelations, RelationAnswer, RelationCommit, RelationOutcome, RelationQueue, RelationState,
    UnfetchedRelations,
};
pub use reread::{Reread, RereadResult};
pub use resource::{Finish, Off, ResourceState};
#[doc(hidden)]
pub use statements::statements;
pub use status::{OpenPlan, Tombstone};
pub use sweep::{Candidate, SweepId, SweepPage, SweepSummary};
