-- Three roles with least rights, for a database of the replicator's own: who migrates, who replicates, who reads.
--
--   psql --dbname mls --single-transaction --file deploy/roles.sql     as a superuser; again changes nothing
--   psql --dbname mls --command '\password spark_replicator_owner'     and so for the other two
--   spark-replicator migrate                                           with the owner in database.url
--   spark-replicator run                                               with spark_replicator in database.url
--
-- spark_replicator_owner   owns the tables; only `spark-replicator migrate` signs in as it.
-- spark_replicator         the daemon and its commands: rows of both schemas, no table, no index, no other schema.
-- spark_replicator_reader  applications and people: reads schemas mls and replicator, writes nothing. Give it to
--                          your own roles: grant spark_replicator_reader to website;
--
-- A table that a later migration makes has these rights from its first moment. Until now one role owned everything?
-- Run this, then: reassign owned by replicator to spark_replicator_owner; and this again.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['spark_replicator_owner', 'spark_replicator', 'spark_replicator_reader']
    loop
        if to_regrole(role_name) is null then
            execute format('create role %I login', role_name);
        end if;
        execute format('alter role %I nosuperuser nocreatedb nocreaterole noreplication nobypassrls', role_name);
    end loop;
    -- Whoever may connect to the database might otherwise make tables in schema public, and temporary ones.
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect, create on database %I to spark_replicator_owner', current_database());
    execute format('grant connect on database %I to spark_replicator, spark_replicator_reader', current_database());
    revoke create on schema public from public;
end
$$;

create schema if not exists replicator authorization spark_replicator_owner;
create schema if not exists mls authorization spark_replicator_owner;
grant usage on schema replicator, mls to spark_replicator, spark_replicator_reader;

-- What is there already, and what the owner will make.
grant select, insert, update, delete on all tables in schema replicator, mls to spark_replicator;
grant select on all tables in schema replicator, mls to spark_replicator_reader;
alter default privileges for role spark_replicator_owner in schema replicator, mls
    grant select, insert, update, delete on tables to spark_replicator;
alter default privileges for role spark_replicator_owner in schema replicator, mls
    grant select on tables to spark_replicator_reader;
