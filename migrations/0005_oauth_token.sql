-- Feeds that are signed in to by OAuth2. The pair of tokens is encrypted by the program, with a key that the database
-- never sees. A refresh token is good once, so whoever spends it claims the row first, in a statement of its own.

create table replicator.oauth_token (
    feed            text collate "C" primary key,
    generation      bigint not null check (generation > 0),
    sealed          bytea not null,
    obtained_at     timestamptz not null,
    expires_at      timestamptz not null,
    claimed_by      text,
    free_at         timestamptz,
    sent            integer not null default 0 check (sent >= 0),
    refused_at      timestamptz,
    refused_reason  text,
    check ((refused_at is null) = (refused_reason is null))
);
comment on table replicator.oauth_token is 'The tokens of feeds with [feeds.NAME.oauth], encrypted; made by `auth login` and renewed by the holder of the lease.';
comment on column replicator.oauth_token.generation is 'One more with every pair: a refresh is of one generation, and there is at most one of each.';
comment on column replicator.oauth_token.sealed is 'The pair: version, key''s name, nonce, ciphertext. The feed''s name is authenticated with it.';
comment on column replicator.oauth_token.claimed_by is 'Who refreshes this generation, unless free_at has passed: then nobody does any more.';
comment on column replicator.oauth_token.free_at is 'No refresh before this: one is under way, or the last one failed and rests.';
comment on column replicator.oauth_token.sent is 'Refreshes of this generation that may have been carried out without our knowing the answer; one under way counts.';
comment on column replicator.oauth_token.refused_reason is 'Why this generation can never be refreshed (invalid_grant): only `auth login` helps.';
