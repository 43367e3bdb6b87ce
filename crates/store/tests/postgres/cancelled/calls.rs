//! Every public async method of the store, called so that it does all it can on the rows of a [`Stage`].

use std::pin::Pin;
use std::time::Duration;

use spark_domain::plan::media::Due;
use spark_domain::plan::reread::{RereadReason, Sighting};
use spark_domain::record;
use spark_domain::walk::Paging;
use spark_domain::{Checkpoint, Expansion, Hash, Job, KeyListForm, Relation, Resource};
use spark_store::{
    Confirmed, Error, EventRead, FeedRegistration, Finish, NewPurgePlan, Outcome, PageCommit, RelationAnswer,
    RelationCommit, RelationState, RequestKind, RereadResult, RunEnd, RunTotals, Spent, Store,
};

use super::stage::Stage;
use crate::fixtures::{CACHE_WINDOW, event, key, listing, listing_with, read, shape};
use crate::harness::{LONG, feed};

/// A call under way.
pub(super) type Work<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// One way to call a method.
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) on: for<'a> fn(&'a Store, &'a Stage) -> Work<'a>,
}

/// Lists calls by the name of their method, so that the list can be held against the source.
macro_rules! calls {
    ($(#[$doc:meta])* $name:ident |$store:ident, $at:ident| { $($method:ident($($argument:expr),* $(,)?);)* }) => {
        $(#[$doc])*
        pub(super) const $name: &[Call] = &[$(Call {
            method: stringify!($method),
            on: |$store, $at| {
                let _ = $at;
                Box::pin(async move { $store.$method($($argument),*).await.map(drop) })
            },
        }),*];
    };
}

const R: Resource = Resource::Property;
const RELATIONS: [Relation; 2] = [Relation::Media, Relation::Room];
const BUDGET: [u8; 32] = [7; 32];
const SIGHTING: Sighting = Sighting { shown: Hash([1; 16]), held: Hash([2; 16]) };

calls! {
    /// Those that only read.
    READS |store, at| {
        now();
        pending_migrations();
        lease_holder(at.feed());
        feed_state(at.feed());
        budget_state(at.feed());
        resources(at.feed());
        expansions_off(at.feed());
        checkpoint(at.feed(), R, Job::Purge);
        job_states(at.feed());
        recent_runs(None, 9);
        due_relations(at.feed(), R, &RELATIONS, 9);
        next_due_relation(at.feed(), R, &RELATIONS);
        unfetched_keys(at.feed(), R, &Relation::ALL, None, 9);
        unstamped_keys(at.feed(), R, None, 9);
        last_key(at.feed(), R);
        relation_queue(at.feed());
        sweep_summary(at.feed(), R, at.sweep, at.began_at);
        purge_candidates(at.feed(), R, at.sweep, at.began_at, None, 9);
        listed_key(at.feed(), R, at.sweep, 7);
        missing_keys(at.feed(), R, at.sweep, None, 9);
        open_plan(at.feed(), R);
        purged_unapproved_since(at.feed(), R, at.began_at);
        due_rereads(at.feed(), R, 9);
        due_events(at.feed(), 9);
        event_queue(at.feed());
        quarantine(at.feed(), 9);
        quarantine_counts(at.feed());
        stored(at.feed(), R, &[key("a"), key("?")]);
        record(at.feed(), R, &key("a"));
        relation_members(at.feed(), R, &key("a"), Relation::Media);
        row_estimates();
        request_result(at.request);
        oauth_token(at.feed());
        oauth_token_lives();
        metadata(at.feed());
        freshness();
        open_plans();
        tombstones(at.feed(), R, 9);
    }
}

calls! {
    /// Those that write; each changes rows of the stage.
    WRITES |store, at| {
        acquire_lease(&feed("plains"), "test", LONG);
        acquire_lease(&feed("hills"), "test", LONG);
        acquire_lease(at.feed(), "test", LONG);
        renew_lease(&at.lease, LONG);
        release_lease(&at.lease);
        register_feed(&at.lease, &FeedRegistration {
            api: "reso",
            base_url: "https://moved.example",
            configuration: "",
            resources: &[R, Resource::Lookup],
        });
        note_refusal(&at.lease);
        block_feed(&at.lease, "1020");
        unblock_feed(&at.lease);
        pause_feed(&at.lease, "ann");
        resume_feed(&at.lease);
        note_clock_skew(&at.lease, 1.5);
        set_configuration(&at.lease, "filter=1");
        turn_off_resource(&at.lease, Resource::Member, "1500");
        turn_on_resource(&at.lease, Resource::Office);
        turn_off_expansion(&at.lease, R, Expansion::Whole(Relation::Unit), "1505");
        turn_on_expansion(&at.lease, R, Expansion::Whole(Relation::Room));
        put_away(&at.lease, R, &key("a"), &RELATIONS, "1026");
        set_paging(&at.lease, R, Some(Paging::Key));
        set_key_form(&at.lease, R, KeyListForm::Single);
        note_count_gap(&at.lease, R, Some(3));
        note_empty_sweep(&at.lease, R, true, LONG);
        save_checkpoint(&at.lease, R, Job::Update, &Checkpoint { unsynced_passes: 2, ..Checkpoint::default() });
        set_due(&at.lease, R, Job::Lookback, Some(at.began_at));
        begin_run(&at.lease, R, Job::Update);
        end_run(&at.lease, at.run, &RunEnd {
            outcome: Outcome::Failed,
            reason: Some("timeout"),
            message: None,
            due_at: Some(at.began_at),
            totals: RunTotals { requests: 3, ..RunTotals::default() },
        });
        commit_page_of(at);
        commit_relations_of(at);
        wake_relations_after_sweep(&at.lease, R);
        wake_unstamped_relations(&at.lease, R);
        begin_sweep(&at.lease, R, Job::Purge, at.began_at + chrono::TimeDelta::seconds(1));
        stage_keys(&at.lease, at.run, R, Job::Purge, at.sweep, 2, &[key("b"), key("y")], &Checkpoint::default());
        finish_sweep(&at.lease, at.run, R, Job::Purge, at.sweep, true);
        save_plan(&at.lease, &NewPurgePlan {
            resource: R,
            sweep: at.sweep,
            began_at: at.began_at,
            rows_held: 5,
            listed: 3,
            keys: &at.doomed,
            refusal: Some("share"),
            explanation: "",
        });
        approve_plan(&at.lease, at.plan, "ann", LONG);
        execute_purge(&at.lease, at.run, R, at.sweep, at.plan, false, &at.doomed);
        add_rereads(&at.lease, R, RereadReason::Event, &[key("a"), key("e")], at.began_at);
        settle_rereads(&at.lease, R, &[
            RereadResult { key: key("c"), again: None },
            RereadResult { key: key("d"), again: Some((at.began_at, Some(SIGHTING))) },
        ]);
        receive_events(at.feed(), &[event(R, "a", 8), event(R, "c", 8)], 9);
        settle_events(&at.lease, R, &[
            EventRead { event: &at.events[0], again_at: None },
            EventRead { event: &at.events[1], again_at: Some(at.began_at) },
        ]);
        refill_columns(&at.lease, R, 2);
        reserve_requests(&BUDGET, 5, Duration::from_millis(1), LONG);
        silence_requests(&BUDGET, LONG, LONG);
        note_request_key(&at.lease, &BUDGET, 900);
        sign_in(at.feed(), b"sealed", LONG);
        claim_oauth_refresh(at.feed(), 1, "ann", LONG);
        release_oauth_refresh(at.feed(), 1, "bob", LONG, Spent::No);
        rotate_oauth_token(at.feed(), 1, b"sealed", LONG);
        refuse_oauth_token(at.feed(), 1, "invalid_grant");
        forget_oauth_token(&at.lease);
        submit_request(at.feed(), &RequestKind::Resume, "ann");
        take_requests(&at.lease, &[]);
        finish_request(&at.lease, at.request, true, "done");
        save_metadata(&at.lease, Hash([2; 16]), "<edmx/>");
    }
}

/// The methods that need longer arguments than a list can hold.
trait Longer {
    async fn commit_page_of(&self, at: &Stage) -> Result<(), Error>;
    async fn commit_relations_of(&self, at: &Stage) -> Result<(), Error>;
}

impl Longer for Store {
    /// A page that inserts, updates, quarantines a record after halving, replaces sets and ends its pass.
    async fn commit_page_of(&self, at: &Stage) -> Result<(), Error> {
        let texts = [
            listing_with("a", 2, r#""City":"Newtown","Media":[{"MediaKey":"m2","Order":1}],"Room":[]"#),
            listing("b", 0, "1"),
            listing("g", 2, "2"),
            listing_with("h", 2, r#""Odd":1e200000"#),
            r#"{"City":"without a key"}"#.to_owned(),
        ];
        let shape = shape(R);
        let (records, rejected) = read(&texts.each_ref().map(String::as_str), &shape);
        let page = PageCommit {
            run: at.run,
            resource: R,
            job: Job::Update,
            shape: &shape,
            records: &records,
            rejected: &rejected,
            relations: &RELATIONS,
            expanded: &RELATIONS,
            mark_relations: true,
            confirmed: &Confirmed::new(),
            cache_window: CACHE_WINDOW,
            stage_keys: None,
            checkpoint: Some(&Checkpoint { cursor: Some(at.began_at), ..Checkpoint::default() }),
            finish: Some(Finish { complete_through: Some(at.began_at), initial_download_completed: true }),
        };
        self.commit_page(&at.lease, &page).await.map(drop)
    }

    /// An answer that replaces a set, and one for a parent that we do not hold.
    async fn commit_relations_of(&self, at: &Stage) -> Result<(), Error> {
        let text =
            listing_with("b", 1, r#""Media":[{"MediaKey":"m7","Order":1},{"MediaKey":"m8","Order":2}]"#);
        let shape = shape(R);
        let record = record::read(&text, &shape).unwrap();
        let state = RelationState {
            asked_for: None,
            wanted: &record.fingerprint.text,
            wanted_newest: record.fingerprint.newest,
            fetched: Some(&record.fingerprint.text),
            fetched_newest: record.fingerprint.newest,
            due: Due::AtRest,
            tries: 0,
        };
        let set = record.relation(Relation::Media);
        let answers = ["b", "unknown"].map(|parent| RelationAnswer {
            key: key(parent),
            relation: Relation::Media,
            set,
            state,
        });
        let commit = RelationCommit {
            run: at.run,
            resource: R,
            job: Job::MediaRefresh,
            answers: &answers,
            checkpoint: Some(&Checkpoint::default()),
        };
        self.commit_relations(&at.lease, &commit).await.map(drop)
    }
}
