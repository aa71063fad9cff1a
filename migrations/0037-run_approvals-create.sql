-- depends: 0036-runs-create
-- What a run asks people before it goes on, and their answers. `granted` is null while nobody has answered and the time is not over.
set local lock_timeout = '5s';

create table run_approvals (
    session_id text collate "C" not null,
    approval_id text collate "C" not null,
    run_id text collate "C" not null,
    prompt text not null,
    options text[] not null,
    requested_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    granted boolean,
    decision text,
    decided_by_user_id text collate "C",
    decided_at timestamptz,
    constraint run_approvals_pkey primary key (session_id, approval_id),
    constraint run_approvals_session_id_run_id_fkey foreign key (session_id, run_id) references runs on delete cascade,
    constraint run_approvals_options_check check (cardinality(options) between 1 and 20),
    constraint run_approvals_decided_at_check check ((granted is null) = (decided_at is null))
);

-- those of a run
create index run_approvals_session_id_run_id_idx on run_approvals (session_id, run_id);

grant select, insert, update on run_approvals to amplifier_app;
