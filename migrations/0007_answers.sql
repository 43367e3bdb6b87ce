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
