-- name: get(actor_id)^
-- A user's own row; an admin application asks in the user's name.
-- @param  actor_id  user_id of the caller
-- @return User | none
-- @access self
-- @shards local
-- @index  users_pkey
select
    user_id,
    first_seen,
    last_seen,
    last_seen_app_id,
    total_sessions,
    metadata
from users
where user_id = :actor_id;


-- name: touch(user_ids, app_ids)!
-- Records when and through which application users were last seen; a process does so at most once a minute for each.
-- @param  user_ids  users, each once
-- @param  app_ids   the application of each, in the same order
-- @return row count
-- @access system
-- @shards local
-- @index  users_pkey
insert into users (user_id, last_seen_app_id)
select
    seen.user_id,
    seen.app_id
from unnest(:user_ids::text[], :app_ids::text[]) as seen (user_id, app_id)
order by seen.user_id
on conflict (user_id) do update
set
    last_seen = excluded.last_seen,
    last_seen_app_id = excluded.last_seen_app_id;
