-- The engine's own state, readable by people: `select * from replicator.job_run order by began_at desc`.
--
-- Every primary key begins with `feed` and no foreign key crosses tables, so that the schema runs behind
-- PgBouncer, on managed servers and distributed by `feed`. Coordination is rows; there are no session locks.
-- Times are Postgres' own (`clock_timestamp()`) unless a comment says otherwise.

create schema if not exists replicator;
comment on schema replicator is 'State of spark-replicator. Read freely; write nothing, the replicator relies on it.';

create table replicator.feed (
    feed                text collate "C" primary key check (feed ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    api                 text not null check (api in ('reso', 'spark')),
    base_url            text not null,
    configuration       text,
    blocked_at          timestamptz,
    blocked_reason      text,
    refused_at          timestamptz,
    paused_at           timestamptz,
    paused_by           text,
    clock_skew_seconds  double precision,
    registered_at       timestamptz not null default clock_timestamp(),
    check ((blocked_at is null) = (blocked_reason is null)),
    check ((paused_at is null) = (paused_by is null))
);
comment on table replicator.feed is 'One row per feed ever configured.';
comment on column replicator.feed.configuration is 'What a resync depends on (base URL, filter, exclude, relations), as of the last start.';
comment on column replicator.feed.blocked_at is 'Since when nothing is asked but a probe, because the token is refused.';
comment on column replicator.feed.refused_at is 'The first 401 or 403 since the last good answer; a second one a minute later blocks.';
comment on column replicator.feed.clock_skew_seconds is 'The feed''s clock less ours.';

create table replicator.resource (
    feed                            text collate "C" not null,
    resource                        text collate "C" not null,
    complete_through_at             timestamptz,
    last_success_at                 timestamptz,
    last_attempt_at                 timestamptz,
    watermark_at                    timestamptz,
    initial_download_completed_at   timestamptz,
    last_sweep_completed_at         timestamptz,
    off_at                          timestamptz,
    off_reason                      text,
    paging                          text check (paging in ('next_link', 'key')),
    key_form                        text check (key_form in ('in', 'eq_or', 'single')),
    count_gap                       bigint,
    count_gap_sweeps                integer not null default 0 check (count_gap_sweeps >= 0),
    configured                      boolean not null default true,
    rows_held                       bigint not null default 0,
    last_sweep                      bigint not null default 0,
    sweep_job                       text,
    sweep_began_at                  timestamptz,
    columns_version                 integer,
    hash_recipe                     integer,
    refill_table                    text,
    refill_after                    text collate "C",
    primary key (feed, resource),
    check ((off_at is null) = (off_reason is null)),
    check ((sweep_job is null) = (sweep_began_at is null))
);
comment on table replicator.resource is 'One row per feed and resource (the RESO entity set''s name): its clocks and what is known about it.';
comment on column replicator.resource.complete_through_at is 'Every change up to here is in mls. Never moves back.';
comment on column replicator.resource.watermark_at is 'The newest ModificationTimestamp seen.';
comment on column replicator.resource.off_at is 'Since when it is not asked for, and off_reason says why.';
comment on column replicator.resource.paging is 'How its collection is paged; null until decided.';
comment on column replicator.resource.key_form is 'How the server wants a list of keys spelled; null until decided.';
comment on column replicator.resource.count_gap is '$count less the distinct keys of the last sweep, if they differ; count_gap_sweeps says how often in a row.';
comment on column replicator.resource.configured is 'False once the configuration no longer names it; its rows stay.';
comment on column replicator.resource.rows_held is 'Rows in mls, counted up and down in the transactions that insert and purge.';
comment on column replicator.resource.last_sweep is 'Number of the newest sweep; it is open while sweep_job is not null.';
comment on column replicator.resource.columns_version is 'The list of typed columns that every row has been filled by.';
comment on column replicator.resource.hash_recipe is 'The recipe that every stored hash was made by.';
comment on column replicator.resource.refill_table is 'A refill of typed columns and hashes is under way here, after key refill_after.';

create table replicator.checkpoint (
    feed                text collate "C" not null,
    resource            text collate "C" not null,
    job                 text not null,
    cursor_at           timestamptz,
    unsynced_passes     integer not null default 0 check (unsynced_passes >= 0),
    last_attempt_at     timestamptz,
    last_success_at     timestamptz,
    due_at              timestamptz,
    failures            integer not null default 0 check (failures >= 0),
    updated_at          timestamptz not null default clock_timestamp(),
    walk_began_at       timestamptz,
    walk_as_of          timestamptz,
    walk_after          timestamptz,
    walk_until          timestamptz,
    walk_position       text check (walk_position in ('start', 'link', 'key', 'end')),
    walk_link           text,
    walk_key            text collate "C",
    walk_top            bigint check (walk_top >= 0),
    walk_expected       bigint check (walk_expected >= 0),
    walk_pages          bigint check (walk_pages >= 0),
    walk_records        bigint check (walk_records >= 0),
    walk_unsynced       boolean,
    walk_restarts       bigint check (walk_restarts >= 0),
    walk_empty_in_a_row bigint check (walk_empty_in_a_row >= 0),
    primary key (feed, resource, job),
    check ((walk_began_at is null) = (walk_position is null)),
    check ((walk_position is not distinct from 'link') = (walk_link is not null)),
    check ((walk_position is not distinct from 'key') = (walk_key is not null)),
    check (walk_until is null or walk_after is not null),
    check (walk_began_at is null or num_nulls(walk_top, walk_pages, walk_records, walk_unsynced,
                                              walk_restarts, walk_empty_in_a_row) = 0)
);
comment on table replicator.checkpoint is 'Where each job stands: its cursor, its schedule and the walk under way. Committed together with the page that led there.';
comment on column replicator.checkpoint.cursor_at is 'The start, by the feed''s clock, of the last pass that came to its end.';
comment on column replicator.checkpoint.unsynced_passes is 'Passes in a row that met "not in sync" and had to give up waiting.';
comment on column replicator.checkpoint.due_at is 'An explicit order: run at this time, whatever the schedule says.';
comment on column replicator.checkpoint.failures is 'Failed runs in a row.';
comment on column replicator.checkpoint.updated_at is 'When the job last moved: a page, a cursor; not its schedule.';
comment on column replicator.checkpoint.walk_began_at is 'When the walk began; null between passes, and then all of walk_ is.';
comment on column replicator.checkpoint.walk_as_of is 'When its first page was asked for, by the feed''s clock.';
comment on column replicator.checkpoint.walk_after is 'Exclusive lower bound of ModificationTimestamp; walk_until is the inclusive upper one, null for none.';
comment on column replicator.checkpoint.walk_position is 'What is asked for next: start (the first page), link (walk_link), key (the page after walk_key), end (nothing).';
comment on column replicator.checkpoint.walk_expected is '$count of the first page.';

create table replicator.job_run (
    feed        text collate "C" not null,
    run         bigint generated always as identity,
    resource    text collate "C" not null,
    job         text not null,
    epoch       bigint not null,
    holder      text not null,
    outcome     text not null default 'running'
                check (outcome in ('running', 'success', 'failed', 'cancelled', 'refused', 'abandoned')),
    reason      text,
    message     text,
    began_at    timestamptz not null default clock_timestamp(),
    progress_at timestamptz,
    ended_at    timestamptz,
    pages       bigint not null default 0,
    inserted    bigint not null default 0,
    updated     bigint not null default 0,
    unchanged   bigint not null default 0,
    deleted     bigint not null default 0,
    rejected    bigint not null default 0,
    older       bigint not null default 0,
    requests    bigint not null default 0,
    bytes       bigint not null default 0,
    primary key (feed, run),
    check ((outcome = 'running') = (ended_at is null))
);
create index job_run_by_time on replicator.job_run (feed, began_at);
create index job_run_running on replicator.job_run (feed) where outcome = 'running';
comment on table replicator.job_run is 'What was done: one row per run of a job, kept for 30 days. Counts move while it runs.';
comment on column replicator.job_run.epoch is 'Of the lease under which it ran; a run left running by another epoch becomes abandoned.';
comment on column replicator.job_run.reason is 'Why it failed, as the metric label says it.';

create table replicator.lease (
    feed        text collate "C" primary key,
    holder      text not null,
    epoch       bigint not null check (epoch > 0),
    expires_at  timestamptz not null,
    taken_at    timestamptz not null default clock_timestamp()
);
comment on table replicator.lease is 'Who replicates a feed: checked inside every writing transaction.';
comment on column replicator.lease.epoch is 'One more with every change of holder; an old holder''s writes fail by it.';

create table replicator.request_budget (
    key             bytea primary key check (octet_length(key) = 32),
    next_free_at    timestamptz not null,
    silent_until    timestamptz
);
comment on table replicator.request_budget is 'When the next request may be sent, per API key (a keyed hash of it), shared by every feed and instance that uses the key.';
comment on column replicator.request_budget.silent_until is 'After a refusal for too many requests nothing is sent before this.';

create table replicator.relation_set (
    feed            text collate "C" not null,
    resource        text collate "C" not null,
    key             text collate "C" not null,
    relation        text not null,
    wanted          text not null,
    wanted_newest   timestamptz,
    fetched         text,
    fetched_newest  timestamptz,
    due_at          timestamptz,
    after_sweep     boolean not null default false,
    tries           integer not null default 0 check (tries >= 0),
    primary key (feed, resource, key, relation),
    check (not (after_sweep and due_at is not null))
);
create index relation_set_due on replicator.relation_set (feed, resource, due_at) where due_at is not null;
create index relation_set_after_sweep on replicator.relation_set (feed, resource) where after_sweep;
comment on table replicator.relation_set is 'For which state of a record its media or another relation was fetched, and for which it is wanted.';
comment on column replicator.relation_set.due_at is 'When to fetch; null at rest.';
comment on column replicator.relation_set.after_sweep is 'The record was missing from an answer: due once the next sweep is complete.';

create table replicator.reread (
    feed        text collate "C" not null,
    resource    text collate "C" not null,
    key         text collate "C" not null,
    reason      text not null check (reason in ('rewind', 'returned', 'missing', 'event')),
    due_at      timestamptz not null,
    tries       integer not null default 0 check (tries >= 0),
    seen        bytea check (octet_length(seen) = 16),
    noted_at    timestamptz not null default clock_timestamp(),
    primary key (feed, resource, key)
);
create index reread_due on replicator.reread (feed, resource, due_at);
comment on table replicator.reread is 'Keys to ask for once more by key.';
comment on column replicator.reread.seen is 'The content hash that the last reading showed; a rewind is taken when two agree.';

create table replicator.key_sweep (
    feed        text collate "C" not null,
    resource    text collate "C" not null,
    sweep       bigint not null,
    entry       bigint generated always as identity,
    source      text not null check (source in ('sweep', 'seen')),
    page        bigint,
    keys        text[] collate "C" not null,
    primary key (feed, resource, sweep, entry),
    check ((source = 'sweep') = (page is not null))
);
create unique index key_sweep_page on replicator.key_sweep (feed, resource, sweep, page) where source = 'sweep';
comment on table replicator.key_sweep is 'Keys of the sweep under way: listed by it (one row a page), or seen meanwhile by another job.';

create table replicator.purge_plan (
    feed                    text collate "C" not null,
    plan                    bigint generated always as identity,
    resource                text collate "C" not null,
    sweep                   bigint not null,
    state                   text not null default 'open' check (state in ('open', 'executed', 'superseded', 'expired')),
    created_at              timestamptz not null default clock_timestamp(),
    began_at                timestamptz not null,
    rows_held               bigint not null,
    listed                  bigint not null,
    refusal                 text,
    explanation             text not null,
    keys                    text[] collate "C" not null,
    hashes                  bytea[] not null,
    modified_ats            timestamptz[] not null,
    ended                   boolean[] not null,
    approved_by             text,
    approved_at             timestamptz,
    approval_expires_at     timestamptz,
    closed_at               timestamptz,
    deleted                 bigint not null default 0,
    carried_out_in          bigint,
    primary key (feed, plan),
    check (cardinality(keys) = cardinality(hashes) and cardinality(keys) = cardinality(modified_ats)
           and cardinality(keys) = cardinality(ended)),
    check (num_nulls(approved_by, approved_at, approval_expires_at) in (0, 3)),
    check ((state = 'open') = (closed_at is null))
);
create unique index purge_plan_open on replicator.purge_plan (feed, resource) where state = 'open';
comment on table replicator.purge_plan is 'What a complete sweep would delete. At most one plan of a resource is open; a refused one waits for an approval that names it.';
comment on column replicator.purge_plan.refusal is 'Which guard refused it; null if none did.';
comment on column replicator.purge_plan.carried_out_in is 'The sweep in which it was carried out, whatever was left of it.';

create table replicator.tombstone (
    feed        text collate "C" not null,
    resource    text collate "C" not null,
    key         text collate "C" not null,
    deleted_at  timestamptz not null default clock_timestamp(),
    reason      text not null check (reason in ('gone', 'ended')),
    sweep       bigint not null,
    plan        bigint,
    approved_by text,
    modified_at timestamptz,
    hash        bytea,
    primary key (feed, resource, key, deleted_at)
);
create index tombstone_by_time on replicator.tombstone (feed, resource, deleted_at);
comment on table replicator.tombstone is 'What was deleted, when and why; no content.';
comment on column replicator.tombstone.reason is 'gone: the feed no longer shows it. ended: an open house that is over.';
comment on column replicator.tombstone.approved_by is 'Who approved the plan, if a person had to.';

create table replicator.quarantine (
    feed            text collate "C" not null,
    resource        text collate "C" not null,
    identity        text collate "C" not null,
    key             text collate "C",
    relation        text,
    reason          text not null,
    message         text not null,
    raw             text not null,
    first_seen_at   timestamptz not null default clock_timestamp(),
    last_seen_at    timestamptz not null default clock_timestamp(),
    times           bigint not null default 1,
    primary key (feed, resource, identity)
);
create index quarantine_by_key on replicator.quarantine (feed, resource, key);
comment on table replicator.quarantine is 'Records that could not be stored; the rest of their page was.';
comment on column replicator.quarantine.identity is 'The key (and relation), or a digest of the raw text if it has none.';
comment on column replicator.quarantine.relation is 'Set if not the record itself but its set of this relation was refused.';

create table replicator.operator_request (
    feed            text collate "C" not null,
    request         bigint generated always as identity,
    kind            text not null check (kind in ('once', 'purge_approve', 'purge_plan', 'resync', 'pause', 'resume', 'repair')),
    job             text,
    resource        text collate "C",
    key             text collate "C",
    plan            bigint,
    requested_by    text not null,
    requested_at    timestamptz not null default clock_timestamp(),
    taken_epoch     bigint,
    taken_at        timestamptz,
    finished_at     timestamptz,
    ok              boolean,
    message         text,
    primary key (feed, request),
    check (kind <> 'once' or job is not null),
    check (kind <> 'purge_approve' or plan is not null),
    check (kind <> 'repair' or (resource is not null and key is not null)),
    check ((finished_at is null) = (ok is null))
);
create index operator_request_by_number on replicator.operator_request (request);
create index operator_request_open on replicator.operator_request (feed) where finished_at is null;
comment on table replicator.operator_request is 'What people asked a running replicator to do, and how it went. Kept for 30 days.';

create table replicator.metadata (
    feed            text collate "C" not null,
    hash            bytea not null check (octet_length(hash) = 16),
    document        text not null,
    first_seen_at   timestamptz not null default clock_timestamp(),
    fetched_at      timestamptz not null default clock_timestamp(),
    primary key (feed, hash)
);
comment on table replicator.metadata is 'The feed''s last five $metadata documents; the newest fetched_at is the one in force.';
