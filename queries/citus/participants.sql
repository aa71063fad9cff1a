-- name: touch(session_ids, user_ids)
-- Records that users were active in sessions, as the query of the folder above does. It cannot skip rows that others lock: it waits.
-- @param  session_ids  the sessions
-- @param  user_ids     the user of each, in the same order
-- @return ActiveParticipant[]
-- @access system
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx
with active as materialized (
    select
        session_id,
        user_id
    from unnest(:session_ids::text[], :user_ids::text[]) as active (session_id, user_id)
)

update session_participants as p
set last_active_at = now()
from active as a
where
    p.session_id = a.session_id
    and p.user_id = a.user_id
returning
    p.session_id,
    p.user_id;
