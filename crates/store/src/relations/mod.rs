//! What hangs below a record: fetched when it may have changed, replaced whole or not at all (P5).
//!
//! `relation_set` remembers for which state of the parent a relation is wanted and for which it was fetched.
//! A commit of a parent that P3 accepts sets `wanted`; an answer sets `fetched` and what the plan decided about
//! the next time.
//!
//! Rule: an absent expansion is not an empty one, and a part of a set is no set: neither writes a member. `Media` in
//! the native dialect is five expansions: each is such a set, and those that did not come keep their members.

mod due;
mod members;
mod state;
mod page;

use spark_domain::plan::media::Due;
use spark_domain::record::RelationSet;
use spark_domain::{Checkpoint, Job, RecordKey, Relation, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::columns::{ByRelation, ByResource};
use crate::commit_page;
use crate::connection::Store;
use crate::error::Error;
use crate::job_run::{self, RunId, RunTotals};
use crate::lease::Lease;
use crate::{checkpoint, sweep};

pub use due::{DueRelation, DueRelations, RelationQueue, UnfetchedRelations};
pub(crate) use members::DELETE_OF_PARENTS;
use members::SetToReplace;
pub(crate) use page::commit_with_page;
use state::SetState;
pub(crate) use state::wake_fetched;

pub(crate) const DUE_STATEMENTS: &[(&str, &str)] = due::STATEMENTS;
pub(crate) const STATE_STATEMENTS: &[(&str, &str)] = state::STATEMENTS;
pub(crate) const MEMBER_STATEMENTS: &[(&str, &str)] = members::STATEMENTS;

/// The statements of this folder that exist once per table of a resource.
pub(crate) fn per_table() -> impl Iterator<Item = &'static ByResource> {
    due::PER_TABLE.into_iter().chain(state::PER_TABLE)
}

/// The statements of this folder that exist once per table of relations.
pub(crate) fn per_relation_table() -> impl Iterator<Item = &'static ByRelation> {
    members::PER_TABLE.into_iter()
}

/// The answers to one question for relations.
#[derive(Debug)]
pub struct RelationCommit<'a> {
    /// The run whose progress this is.
    pub run: RunId,
    /// The parents' resource.
    pub resource: Resource,
    /// Whose checkpoint.
    pub job: Job,
    /// One answer per parent and relation.
    pub answers: &'a [RelationAnswer<'a>],
    /// The position after this page, in a fill walk.
    pub checkpoint: Option<&'a Checkpoint>,
}

/// What the feed said about one relation of one record, and what the plan makes of it.
#[derive(Debug, Clone)]
pub struct RelationAnswer<'a> {
    /// The parent.
    pub key: RecordKey,
    /// Which relation.
    pub relation: Relation,
    /// The set to put in place; none if the answer had none that may be believed.
    pub set: Option<&'a RelationSet<'a>>,
    /// What to remember.
    pub state: RelationState<'a>,
}

/// What is remembered about a relation of a record.
#[derive(Debug, Clone, Copy)]
pub struct RelationState<'a> {
    /// The `wanted` that the question was asked for; none if there was no row (a fill walk). A row whose
    /// `wanted` is another by now has moved on: it keeps `wanted` and its due time.
    pub asked_for: Option<&'a str>,
    /// The state of the parent for which the relation is wanted.
    pub wanted: &'a str,
    /// The newest stamp in it.
    pub wanted_newest: Option<Timestamp>,
    /// The state for which it was fetched.
    pub fetched: Option<&'a str>,
    /// The newest stamp in that.
    pub fetched_newest: Option<Timestamp>,
    /// When to ask again.
    pub due: Due,
    /// Questions in vain for this `wanted`.
    pub tries: i32,
}

/// What answers changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelationOutcome {
    /// Sets of which at least one member was written or deleted.
    pub sets_replaced: u64,
    /// Sets that were as we hold them.
    pub sets_unchanged: u64,
    /// Members inserted or updated.
    pub members_written: u64,
    /// Members deleted.
    pub members_deleted: u64,
    /// Sets that Postgres refuses; they are in quarantine.
    pub sets_rejected: u64,
    /// Values that did not fit their typed column.
    pub column_nulls: u64,
}

impl Store {
    /// Puts answered sets in place and remembers their state, in one transaction.
    ///
    /// An answer for a parent that is no longer in `mls` writes nothing, and what was due for it is forgotten. A set that is only a part (a link to
    /// more inside it) is not applied, whatever the state says, and is never at rest; nor is one that a set of
    /// a newer state overtook.
    pub async fn commit_relations(
        &self,
        lease: &Lease,
        commit: &RelationCommit<'_>,
    ) -> Result<RelationOutcome, Error> {
        self.observed("relations", async {
            let mut writing = self.begin_write(lease).await?;
            let connection = writing.conn();
            let locked = commit_page::lock_resource(connection, lease, commit.resource).await?;
            let mut keys: Vec<&str> = commit.answers.iter().map(|answer| answer.key.as_str()).collect();
            keys.sort_unstable();
            keys.dedup();
            let living = state::living(connection, lease, commit.resource, &keys).await?;
            let answers: Vec<&RelationAnswer<'_>> =
                commit.answers.iter().filter(|answer| living.contains(answer.key.as_str())).collect();

            let dead: Vec<&str> = keys.iter().copied().filter(|key| !living.contains(*key)).collect();
            state::forget(connection, lease, commit.resource, &dead).await?;

            let held = state::load(connection, lease, commit.resource, &keys).await?;
            let sets: Vec<SetToReplace<'_>> = answers
                .iter()
                .filter(|answer| !SetState::overtook(held.get(answer.key.as_str(), answer.relation), answer))
                .filter_map(|answer| SetToReplace::whole(answer.key.as_str(), answer.set?))
                .collect();
            let outcome = members::replace(connection, lease, commit.resource, &sets).await?;
            state::write_answers(connection, lease, commit.resource, &held, &answers, locked.now).await?;

            let listed: Vec<&str> = answers
                .iter()
                .filter(|answer| answer.state.due != Due::AfterSweep)
                .map(|answer| answer.key.as_str())
                .collect();
            sweep::see(connection, lease, commit.resource, locked.open_sweep, &listed).await?;
            let totals = RunTotals {
                pages: 1,
                updated: outcome.sets_replaced,
                unchanged: outcome.sets_unchanged,
                rejected: outcome.sets_rejected,
                ..RunTotals::default()
            };
            job_run::progress(connection, lease, commit.run, &totals).await?;
            if let Some(position) = commit.checkpoint {
                checkpoint::write(connection, lease, commit.resource, commit.job, position).await?;
            }
            writing.commit(Boundary::CommitRelations).await?;
            Ok(outcome)
        })
        .await
    }

    /// Makes due what waited for the end of a sweep, a few thousand rows at a time; whether there are more.
    pub async fn wake_relations_after_sweep(&self, lease: &Lease, resource: Resource) -> Result<bool, Error> {
        self.observed("relations", async {
            let mut writing = self.begin_write(lease).await?;
            let more = state::wake(writing.conn(), lease, resource).await?;
            writing.commit(Boundary::WakeRelationsAfterSweep).await?;
            Ok(more)
        })
        .await
    }

    /// Makes due what is at rest below records without a ModificationTimestamp, a few thousand rows at a time; whether
    /// there is more.
    pub async fn wake_unstamped_relations(&self, lease: &Lease, resource: Resource) -> Result<bool, Error> {
        self.observed("relations", async {
            let mut writing = self.begin_write(lease).await?;
            let more = state::wake_unstamped(writing.conn(), lease, resource).await?;
            writing.commit(Boundary::WakeUnstampedRelations).await?;
            Ok(more)
        })
        .await
    }
}
