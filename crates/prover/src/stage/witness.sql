-- Postgres itself is the witness: triggers note, inside the replicator's own transactions, every row that was
-- written, by whom and under which lease, and what was held at the moment of each claim. Nothing is sampled,
-- so nothing can happen between two looks.

create schema prover;

create table prover.row_change (
    n           bigint generated always as identity primary key,
    at          timestamptz not null default clock_timestamp(),
    transaction xid8 not null default pg_current_xact_id(),
    writer      name not null default session_user,
    epoch       bigint,
    table_name  name not null,
    operation   text not null,
    key         text not null,
    parent_key  text,
    old_stamp   timestamptz,
    new_stamp   timestamptz,
    same_body   boolean not null
);

create function prover.note_row() returns trigger language plpgsql security definer as $$
declare
    one jsonb := to_jsonb(coalesce(new, old)) - 'body';
begin
    insert into prover.row_change (epoch, table_name, operation, key, parent_key, old_stamp, new_stamp, same_body)
    values ((select epoch from replicator.lease where feed = one->>'feed'), tg_table_name, tg_op, one->>'key',
            one->>'parent_key', old.modified_at, new.modified_at,
            -- Typed columns are filled anew after an upgrade, and that is no change of the record.
            coalesce(old.body = new.body and old.written_at <> new.written_at, false));
    return null;
end $$;

do $$
declare
    name text;
begin
    foreach name in array array['property', 'member', 'office', 'team', 'open_house', 'lookup', 'media', 'room',
                                'unit', 'relation'] loop
        execute format('create trigger witness after insert or update or delete on mls.%I
                        for each row execute function prover.note_row()', name);
    end loop;
end $$;

-- The engine's own state is written under the lease as well.
create function prover.note_state() returns trigger language plpgsql security definer as $$
begin
    insert into prover.row_change (epoch, table_name, operation, key, same_body)
    values ((select epoch from replicator.lease where feed = new.feed), tg_table_name, 'STATE', new.feed, false);
    return null;
end $$;

do $$
declare
    name text;
begin
    foreach name in array array['checkpoint', 'job_run', 'key_sweep', 'purge_plan', 'relation_set'] loop
        execute format('create trigger witness_of_state after insert or update on replicator.%I
                        for each row execute function prover.note_state()', name);
    end loop;
end $$;

create table prover.lease_taken (
    at      timestamptz not null default clock_timestamp(),
    writer  name not null default session_user,
    epoch   bigint not null,
    holder  text not null
);

create function prover.note_lease() returns trigger language plpgsql security definer as $$
begin
    if tg_op = 'INSERT' or old.epoch <> new.epoch then
        insert into prover.lease_taken (epoch, holder) values (new.epoch, new.holder);
    end if;
    return null;
end $$;
create trigger witness after insert or update on replicator.lease
    for each row execute function prover.note_lease();

create table prover.purged (
    at          timestamptz not null default clock_timestamp(),
    transaction xid8 not null default pg_current_xact_id(),
    resource    text not null,
    key         text not null,
    began_at    timestamptz
);

create function prover.note_purged() returns trigger language plpgsql security definer as $$
begin
    insert into prover.purged (resource, key, began_at)
    values (new.resource, new.key,
            (select sweep_began_at from replicator.resource r where r.feed = new.feed and r.resource = new.resource));
    return null;
end $$;
create trigger witness after insert or update on replicator.tombstone
    for each row execute function prover.note_purged();

-- What was held when somebody said "complete through": looked at when the transaction commits.
create table prover.claim (
    at       timestamptz not null default clock_timestamp(),
    resource text not null,
    through  timestamptz not null,
    keys     text[] not null,
    stamps   timestamptz[] not null
);

create function prover.claim(the_feed text, the_resource text, claimed timestamptz) returns void
    language plpgsql security definer as $$
declare
    held_keys text[];
    held_stamps timestamptz[];
    table_name text := case the_resource when 'Teams' then 'team' when 'OpenHouse' then 'open_house'
                                         else lower(the_resource) end;
begin
    execute format('select coalesce(array_agg(key), array[]::text[]), coalesce(array_agg(modified_at), array[]::timestamptz[])
                    from mls.%I where feed = $1', table_name)
    into held_keys, held_stamps using the_feed;
    insert into prover.claim (resource, through, keys, stamps)
    values (the_resource, claimed, held_keys, held_stamps);
end $$;

create function prover.note_claim() returns trigger language plpgsql security definer as $$
begin
    perform prover.claim(new.feed, new.resource, new.complete_through_at);
    return null;
end $$;
create constraint trigger witness_of_claims after update on replicator.resource
    deferrable initially deferred for each row
    when (new.complete_through_at is distinct from old.complete_through_at)
    execute function prover.note_claim();

-- A cursor claims the same: the next pass asks for nothing older.
create function prover.note_cursor() returns trigger language plpgsql security definer as $$
begin
    perform prover.claim(new.feed, new.resource, new.cursor_at);
    return null;
end $$;
create constraint trigger witness_of_cursors after update on replicator.checkpoint
    deferrable initially deferred for each row
    when (new.job = 'update' and new.cursor_at is distinct from old.cursor_at)
    execute function prover.note_cursor();

create table prover.listed (
    resource text not null,
    sweep    bigint not null,
    keys     text[] not null
);

create function prover.note_listed() returns trigger language plpgsql security definer as $$
begin
    insert into prover.listed (resource, sweep, keys) values (new.resource, new.sweep, new.keys);
    return null;
end $$;
create trigger witness after insert on replicator.key_sweep
    for each row when (new.source = 'sweep') execute function prover.note_listed();

create table prover.sweep_completed (
    at         timestamptz not null default clock_timestamp(),
    resource   text not null,
    sweep      bigint not null,
    began_at   timestamptz not null,
    unproved   boolean not null
);

create function prover.note_sweep() returns trigger language plpgsql security definer as $$
begin
    insert into prover.sweep_completed (resource, sweep, began_at, unproved)
    values (new.resource, old.last_sweep, old.sweep_began_at, new.count_gap_sweeps >= 3);
    return null;
end $$;
create trigger witness_of_sweeps after update on replicator.resource
    for each row when (new.last_sweep_completed_at is distinct from old.last_sweep_completed_at
                       and old.sweep_began_at is not null)
    execute function prover.note_sweep();
