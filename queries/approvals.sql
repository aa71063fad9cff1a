-- name: create(session_id, run_id, process_id, approval_id, prompt, options, seconds)^
-- Creates a question that a run asks before it continues. Returns no row if the process has lost its lease or the run is
-- over.
-- @param  session_id   the session
-- @param  run_id       the run
-- @param  process_id   the process that runs it
-- @param  approval_id  a new id
-- @param  prompt       the question
-- @param  options      the possible answers
-- @param  seconds      how long it can be answered
-- @return CreatedApproval | none
-- @access system
-- @shards one
-- @index  runs_pkey or runs_session_id_running_idx, sessions_pkey
with locked_run as (
    select
        session_id,
        run_id,
        user_id
    from runs
    where
        session_id = :session_id
        and run_id = :run_id
        and process_id = :process_id
        and status = 'running'
    for no key update
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1
    from locked_run as r
    where
        s.session_id = r.session_id
        and s.session_id = :session_id
    returning
        s.session_id,
        s.last_seq,
        s.updated_at
),

added_approval as (
    insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at)
    select
        session_id,
        :approval_id,
        :run_id,
        :prompt,
        :options,
        clock_timestamp() + make_interval(secs => :seconds)
    from advanced_session
    returning
        session_id,
        approval_id,
        expires_at
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq,
        'approval.required',
        jsonb_build_object(
            'approval_id', a.approval_id,
            'run_id', r.run_id,
            'prompt', :prompt::text,
            'options', to_jsonb(:options::text[]),
            'expires_at', a.expires_at
        ),
        r.user_id,
        s.updated_at
    from advanced_session as s
    inner join locked_run as r on r.session_id = s.session_id
    inner join added_approval as a on a.session_id = s.session_id
)

select
    approval_id,
    expires_at
from added_approval;


-- name: list(actor_id, session_id, after_requested_at, after_approval_id, limit)
-- Lists the questions that the running run of a session waits for, the oldest first, for participants.
-- @param  actor_id            user_id of the caller
-- @param  session_id          the session
-- @param  after_requested_at  position of the last row of the page before
-- @param  after_approval_id   the same
-- @param  limit               rows at most
-- @return Approval[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, runs_session_id_running_idx or runs_pkey
select
    a.approval_id,
    a.run_id,
    a.prompt,
    a.options,
    a.requested_at,
    a.expires_at
from session_participants as p
cross join lateral (
    select q.*
    from run_approvals as q
    inner join runs as r on r.session_id = q.session_id
    where
        q.session_id = :session_id
        and q.granted is null
        and q.expires_at > now()
        and (q.requested_at, q.approval_id) > (:after_requested_at::timestamptz, :after_approval_id::text)
        and r.session_id = :session_id
        and r.run_id = q.run_id
        and r.status = 'running'
) as a
where
    p.session_id = :session_id
    and p.user_id = :actor_id
order by
    a.requested_at,
    a.approval_id
limit :limit::bigint;
