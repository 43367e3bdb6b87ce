-- The inbox of webhooks: what the feed's own deliveries name, until it was read by its key.
--
-- Written without a lease by whichever instance a delivery reaches; only the holder of the feed's lease reads and
-- settles. One row a key, whatever is delivered: a repeated delivery changes nothing, a newer event makes the key
-- due anew.

create table replicator.event (
    feed         text collate "C" not null,
    resource     text collate "C" not null,
    key          text collate "C" not null,
    sequence     bigint,
    received_at  timestamptz not null default clock_timestamp(),
    due_at       timestamptz not null default clock_timestamp(),
    readings     integer not null default 0 check (readings >= 0),
    primary key (feed, resource, key)
);
create index event_due on replicator.event (feed, resource, due_at);
comment on table replicator.event is 'Keys that webhooks named: to be read at once, and once more after the cache window.';
comment on column replicator.event.sequence is 'The highest EntityEventSequence delivered for the key; it recognises repetitions and nothing else.';
comment on column replicator.event.received_at is 'When it was delivered. A reading settles the key only if no newer event came meanwhile.';
comment on column replicator.event.due_at is 'When it is to be read.';
comment on column replicator.event.readings is '0: never read since; 1: read once, perhaps from a stale cache.';
