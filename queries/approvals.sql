-- name: create(session_id, run_id, process_id, approval_id, prompt, options, seconds)^
-- A question that a run asks before it goes on. No row comes back when the process has lost its lease or the run is over.
-- @param  session_id   the session
-- @param  run_id       the run
-- @param  process_id   the process that runs it
-- @param  approval_id  a new id
-- @param  prompt       the question
-- @param  options      the answers that may be given
-- @param  seconds      until nobody may answer any more
-- @return CreatedApproval | none
-- @access system
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
        last_seq = s.last_seq + 1,
        updated_at = clock_timestamp()
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


-- name: list(actor_id, session_id)
-- What the run of a session that the caller takes part in waits for, oldest first.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return Approval[]
-- @access participant
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
        and r.session_id = :session_id
        and r.run_id = q.run_id
        and r.status = 'running'
) as a
where
    p.session_id = :session_id
    and p.user_id = :actor_id
order by
    a.requested_at,
    a.approval_id;


-- name: decide(actor_id, session_id, approval_id, granted, decision)^
-- An answer, once. Who may append may answer. No row comes back when the caller may not, there is no such question, it was answered
-- already, or its time or its run is over.
-- @param  actor_id     user_id of the caller
-- @param  session_id   the session
-- @param  approval_id  the question
-- @param  granted      whether the run may go on with what it asked about
-- @param  decision     the answer, as one of its options
-- @return DecidedApproval | none
-- @access participant
-- @index  session_participants_pkey or session_participants_user_id_idx, runs_session_id_running_idx, run_approvals_pkey, sessions_pkey
with permitted as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and may_send(role, permissions)
    for no key update
),

locked_run as (
    select
        r.session_id,
        r.run_id
    from permitted as p
    inner join runs as r on r.session_id = p.session_id
    where
        r.session_id = :session_id
        and r.status = 'running'
    for no key update of r
),

decided_approval as (
    update run_approvals as a
    set
        granted = :granted,
        decision = :decision,
        decided_by_user_id = :actor_id,
        decided_at = clock_timestamp()
    from locked_run as r
    where
        a.session_id = r.session_id
        and a.session_id = :session_id
        and a.approval_id = :approval_id
        and a.run_id = r.run_id
        and a.granted is null
        and a.expires_at > now()
    returning
        a.session_id,
        a.approval_id,
        a.run_id,
        a.granted,
        a.decision
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1,
        updated_at = clock_timestamp()
    from decided_approval as a
    where
        s.session_id = a.session_id
        and s.session_id = :session_id
    returning
        s.session_id,
        s.last_seq,
        s.updated_at
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq,
        case when a.granted then 'approval.granted' else 'approval.denied' end,
        jsonb_build_object('approval_id', a.approval_id, 'run_id', a.run_id, 'decision', a.decision),
        :actor_id,
        s.updated_at
    from advanced_session as s
    inner join decided_approval as a on a.session_id = s.session_id
)

select
    approval_id,
    run_id,
    :granted as granted,
    :decision as decision
from decided_approval;


-- name: get(session_id, approval_id)^
-- What was answered, all null while nobody has.
-- @param  session_id   the session
-- @param  approval_id  the question
-- @return ApprovalAnswer | none
-- @access system
-- @index  run_approvals_pkey
select
    granted,
    decision
from run_approvals
where
    session_id = :session_id
    and approval_id = :approval_id;


-- name: expire(session_id, approval_id)^
-- Denies what nobody answered in time. No row comes back when somebody was faster or the run is over.
-- @param  session_id   the session
-- @param  approval_id  the question
-- @return ExpiredApproval | none
-- @access system
-- @index  runs_session_id_running_idx, run_approvals_pkey, sessions_pkey
with locked_run as (
    select
        session_id,
        run_id
    from runs
    where
        session_id = :session_id
        and status = 'running'
    for no key update
),

expired_approval as (
    update run_approvals as a
    set
        granted = false,
        decided_at = clock_timestamp()
    from locked_run as r
    where
        a.session_id = r.session_id
        and a.session_id = :session_id
        and a.approval_id = :approval_id
        and a.run_id = r.run_id
        and a.granted is null
    returning
        a.session_id,
        a.approval_id,
        a.run_id
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1,
        updated_at = clock_timestamp()
    from expired_approval as a
    where
        s.session_id = a.session_id
        and s.session_id = :session_id
    returning
        s.session_id,
        s.last_seq,
        s.updated_at
),

added_event as (
    insert into session_events (session_id, seq, type, data, created_at)
    select
        s.session_id,
        s.last_seq,
        'approval.denied',
        jsonb_build_object('approval_id', a.approval_id, 'run_id', a.run_id, 'reason', 'timeout'),
        s.updated_at
    from advanced_session as s
    inner join expired_approval as a on a.session_id = s.session_id
)

select approval_id
from expired_approval;
