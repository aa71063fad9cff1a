-- depends: 0029-sessions-add_config_version
-- Answers to requests with an Idempotency-Key, written in the transaction of what they tell of, so that a repeated request gets the
-- answer again and does nothing. The key itself is not kept, and an answer (which may show an API key) is encrypted with it.
set local lock_timeout = '5s';

create table idempotency_keys (
    app_id text collate "C" not null,
    user_id text collate "C" not null,
    key_hash text collate "C" not null,
    request_hash text collate "C" not null,
    status integer not null,
    response bytea not null,
    etag text,
    created_at timestamptz not null default now(),
    constraint idempotency_keys_pkey primary key (app_id, user_id, key_hash)
);

create index idempotency_keys_created_at_idx on idempotency_keys (created_at);

grant select, insert, update, delete on idempotency_keys to amplifier_app;
