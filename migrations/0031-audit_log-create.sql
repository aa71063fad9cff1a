-- depends: 0030-idempotency_keys-create
-- Who did what, when, from where and to what: a row for each change made through the service or its commands, written in the change's
-- transaction. The service can add rows and read them, and alter none. Numbers follow the order of writing, not of commits.
set local lock_timeout = '5s';

create table audit_log (
    audit_id bigint generated always as identity,
    created_at timestamptz not null default now(),
    user_id text collate "C" not null,
    app_id text collate "C" not null,
    action text collate "C" not null,
    target_type text collate "C" not null,
    target_id text collate "C",
    details jsonb not null,
    address text,
    request_id text collate "C",
    constraint audit_log_pkey primary key (audit_id)
);

create index audit_log_target_id_idx on audit_log (target_id, audit_id);

grant select, insert on audit_log to amplifier_app;
