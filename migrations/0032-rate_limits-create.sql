-- depends: 0031-audit_log-create
-- How much of its rate limit each application and user has used: a bucket that is full again at full_at. Unlogged: after a crash of
-- the database all buckets are full.
set local lock_timeout = '5s';

create unlogged table rate_limits (
    app_id text collate "C" not null,
    user_id text collate "C" not null,
    granted integer not null,
    full_at timestamptz not null,
    constraint rate_limits_pkey primary key (app_id, user_id)
) with (fillfactor = 50);

grant select, insert, update, delete on rate_limits to amplifier_app;
