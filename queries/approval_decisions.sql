-- name: decide(actor_id, session_id, approval_id, granted, decision)^
-- Records an answer, once. Participants who may send may answer. Returns no row if the caller may not, there is no such
-- question, it is answered already, or its time or its run is over.
-- @param  actor_id     user_id of the caller
-- @param  session_id   the session
-- @param  approval_id  the question
-- @param  granted      whether the run may do what it asked for
-- @param  decision     the answer, as one of its options
-- @return DecidedApproval | none
-- @access participant
-- @shards one
-- @with   audit.add: jsonb_build_object('run_id', run_id, 'decision', decision) as details
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
        session_id,
        run_id
    from runs
    where
        session_id = :session_id
        and status = 'running'
        and exists (select from permitted)
    for no key update
),

decided_approval as (
    update run_approvals as a
    set
        granted = :granted,
        decision = :decision,
        decided_by_user_id = :actor_id,
        decided_at = statement_timestamp()
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
        last_seq = s.last_seq + 1
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
-- Returns the answer to a question; all columns are null until there is one.
-- @param  session_id   the session
-- @param  approval_id  the question
-- @return ApprovalAnswer | none
-- @access system
-- @shards one
-- @index  run_approvals_pkey
select
    granted,
    decision
from run_approvals
where
    session_id = :session_id
    and approval_id = :approval_id;


-- name: expire(session_id, approval_id)^
-- Denies a question that was not answered in time. Returns no row if it is answered or the run is over.
-- @param  session_id   the session
-- @param  approval_id  the question
-- @return ExpiredApproval | none
-- @access system
-- @shards one
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
        decided_at = statement_timestamp()
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
        last_seq = s.last_seq + 1
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
