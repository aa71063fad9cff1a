-- name: list(actor_id, folder, most)
-- The working directories (tag `cwd`) of the caller's sessions that have `folder` as part, in any case.
-- @param  actor_id  user_id of the caller
-- @param  folder    lower case, with `/` between names and at both ends; after a line break, the beginning of the directory
-- @param  most      rows at most
-- @return Folder[]
-- @access participant
-- @shards all
-- @index  session_participants_user_id_idx or session_participants_pkey, sessions_pkey
select distinct s.tags ->> 'cwd' as cwd
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
where
    p.user_id = :actor_id
    and strpos(
        concat(E'\n/', btrim(replace(lower(s.tags ->> 'cwd'), '\', '/'), '/'), '/'),
        :folder
    ) > 0
    and s.tags ->> 'cwd' <> ''
limit :most;
