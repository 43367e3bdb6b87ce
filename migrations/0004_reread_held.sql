-- A rewind is confirmed by two readings that show the same older copy against the same copy of ours: one that
-- reached us in between makes the first reading moot. Nullable: what an older program remembered does not say.

alter table replicator.reread add column held bytea check (octet_length(held) = 16);
comment on column replicator.reread.held is 'The content hash of our copy at the last reading; a rewind is taken when it is still ours.';
comment on column replicator.reread.seen is 'The content hash that the last reading showed; a rewind is taken when two agree against the same copy of ours.';
