-- What a feed's answers teach us, kept over restarts and for the next holder of the lease.

create table replicator.expansion (
    feed        text collate "C" not null,
    resource    text collate "C" not null,
    relation    text not null,
    off_at      timestamptz not null default clock_timestamp(),
    off_reason  text not null,
    primary key (feed, resource, relation)
);
comment on table replicator.expansion is 'Relations that the feed has switched off (Spark 1505): they are not asked for, and what was fetched stays. Tried again after a day.';
comment on column replicator.expansion.off_at is 'When the feed last refused it.';

-- A record that breaks every page it stands on is stepped over by its key; that takes the key before it.
alter table replicator.checkpoint add column walk_last_key text collate "C";
comment on column replicator.checkpoint.walk_last_key is 'The last key of the walk, as long as its records came in the order of their keys.';

-- A key that is refused for too many requests although its limit was kept has a lower one, or other users.
alter table replicator.request_budget
    add column share double precision not null default 1 check (share > 0 and share <= 1),
    add column share_at timestamptz not null default clock_timestamp(),
    add column spent_since timestamptz not null default clock_timestamp(),
    add column spent bigint not null default 0,
    add column spent_before bigint not null default 0,
    add column throttled_at timestamptz,
    add column throttled_spent bigint;
comment on column replicator.request_budget.share is 'The share of the configured limit that was learnt from refusals, as of share_at; it climbs again by the hour.';
comment on column replicator.request_budget.spent is 'Requests granted since spent_since; spent_before in the five minutes before that.';
comment on column replicator.request_budget.throttled_at is 'When the feed last refused for too many requests; throttled_spent had been granted in the five minutes before.';

alter table replicator.feed
    add column request_key bytea check (octet_length(request_key) = 32),
    add column requests_per_5_minutes integer;
comment on column replicator.feed.request_key is 'The key of its request_budget: feeds with the same one share their requests.';
comment on column replicator.feed.requests_per_5_minutes is 'The limit that its holder is configured with; feeds that share a key ought to agree.';

-- An MLS whose last team leaves lists none; a list without a key is believed late, and by a person only.
alter table replicator.resource
    add column empty_sweeps integer not null default 0 check (empty_sweeps >= 0),
    add column empty_sweep_at timestamptz;
comment on column replicator.resource.empty_sweeps is 'Sweeps in a row, each an hour or more after the last, in which the feed listed nothing and counted nothing.';
