-- depends: 0035-applications-check_request_limit
-- The turns of agents: what somebody sent, and what became of it. A message waits here until its turn comes; from then on it
-- stands in the transcript. One run of a session goes on at a time, wherever: the process that has the lease, which it renews
-- by the database's clock. `usage` and `timing` are counted by the service: tokens and calls, and seconds.
set local lock_timeout = '5s';

create table runs (
    session_id text collate "C" not null,
    run_id text collate "C" not null,
    status text collate "C" not null,
    message jsonb not null,
    user_id text collate "C" not null,
    app_id text collate "C" not null,
    queued_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    response text,
    error jsonb,
    usage jsonb not null default '{}',
    timing jsonb not null default '{}',
    cancelled_by_user_id text collate "C",
    process_id text collate "C",
    lease_expires_at timestamptz,
    constraint runs_pkey primary key (session_id, run_id),
    constraint runs_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint runs_status_check check (status in ('queued', 'running', 'completed', 'failed', 'cancelled')),
    constraint runs_message_check check (jsonb_typeof(message) = 'object'),
    constraint runs_message_depth_check check (not message @? '$.**{64}'),
    constraint runs_error_check check (jsonb_typeof(error) = 'object'),
    constraint runs_process_id_check
        check (status <> 'running' or (process_id is not null and lease_expires_at is not null and started_at is not null)),
    constraint runs_finished_at_check check ((status in ('queued', 'running')) = (finished_at is null))
) with (fillfactor = 70);

create unique index runs_session_id_running_idx on runs (session_id) where status = 'running';

-- whose turn is next
create index runs_session_id_queued_idx on runs (session_id, queued_at, run_id) where status = 'queued';

-- a session's runs, newest first
create index runs_session_id_queued_at_idx on runs (session_id, queued_at, run_id);

grant select, insert, update on runs to amplifier_app;
