-- name: get(actor_id, session_id, user_id)^
-- One participant of a session, for every participant.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  user_id     the participant
-- @return Participant | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx
select
    p.user_id,
    p.role,
    p.permissions,
    p.joined_at,
    p.last_active_at,
    p.last_read_seq
from session_participants as actor
inner join session_participants as p on p.session_id = actor.session_id
where
    actor.session_id = :session_id
    and actor.user_id = :actor_id
    and p.session_id = :session_id
    and p.user_id = :user_id;


-- name: list(actor_id, session_ids)
-- Which of these sessions the caller takes part in.
-- @param  actor_id     user_id of the caller
-- @param  session_ids  sessions
-- @return ExistingSession[]
-- @access participant
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx
select p.session_id
from unnest(:session_ids::text[]) as linked (session_id)
inner join session_participants as p on p.session_id = linked.session_id and p.user_id = :actor_id;
