-- name: get(actor_id, session_id, item_id)^
-- The message whose own member `id` is this one, of several the newest. Reads the session's messages from the newest on, so
-- that it is meant for ids that clients saw a short time before.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  item_id     the id
-- @return Entry | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, messages_pkey
-- @cost   2000
select
    m.seq,
    m.message,
    m.author_user_id,
    m.author_app_id,
    m.created_at,
    m.key
from session_participants as p
inner join messages as m on m.session_id = p.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and m.session_id = :session_id
    and m.message ->> 'id' = :item_id
order by m.seq desc
limit 1;
