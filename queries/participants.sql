-- name: list(actor_id, session_id, after_user_id, limit)
-- Lists the participants of a session by user_id, for every participant.
-- @param  actor_id       user_id of the caller
-- @param  session_id     the session
-- @param  after_user_id  the last user_id of the page before, empty for the beginning
-- @param  limit          rows at most
-- @return Participant[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey
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
    and p.user_id > :after_user_id
order by p.user_id
limit :limit;


-- name: create(actor_id, session_id, user_id, role, permissions)^
-- Adds a user who does not take part yet. Owners and participants with `invite` may, for roles up to their own; only owners
-- may set permissions. Locks the caller's row first, so that a removal of the caller waits and later calls fail.
-- @param  actor_id     user_id of the caller
-- @param  session_id   the session
-- @param  user_id      the user to add
-- @param  role         owner, editor or viewer
-- @param  permissions  a JSON object of overrides, or null
-- @return Participant | none
-- @access participant
-- @shards one
-- @with   audit.add: jsonb_build_object('role', role, 'permissions', permissions) as details
-- @index  session_participants_pkey, sessions_pkey
with locked_actor as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and may_invite(role, permissions)
        and array_position(array['viewer', 'editor', 'owner'], :role::text)
            <= array_position(array['viewer', 'editor', 'owner'], role)
        and (:permissions::jsonb is null or role = 'owner')
    for no key update
),

added_participant as (
    insert into session_participants (session_id, user_id, role, permissions)
    select
        session_id,
        :user_id,
        :role,
        coalesce(:permissions, '{}')
    from locked_actor
    on conflict (session_id, user_id) do nothing
    returning
        session_id,
        user_id,
        role,
        permissions,
        joined_at,
        last_active_at,
        last_read_seq
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1
    from added_participant as p
    where
        s.session_id = p.session_id
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
        'participant.added',
        jsonb_build_object('user_id', p.user_id, 'role', p.role, 'permissions', p.permissions),
        :actor_id,
        s.updated_at
    from advanced_session as s
    inner join added_participant as p on p.session_id = s.session_id
)

select
    user_id,
    role,
    permissions,
    joined_at,
    last_active_at,
    last_read_seq
from added_participant;


-- name: delete(actor_id, session_id, user_id)^
-- Removes a participant. Owners may remove anybody and every participant may leave, but the last owner stays. Locks rows as
-- participant_rights.update does. Waits for an append in progress; a later append finds no row.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  user_id     the participant to remove
-- @return Participant | none
-- @access participant
-- @shards one
-- @with   audit.add: jsonb_build_object('role', role, 'permissions', permissions) as details
-- @index  session_participants_pkey, sessions_pkey
with locked_participants as (
    select
        user_id,
        role,
        joined_at
    from session_participants
    where
        session_id = :session_id
        and (role = 'owner' or user_id in (:actor_id, :user_id))
    order by user_id
    for update
),

owners as (
    select
        bool_or(user_id = :actor_id) as include_actor,
        (array_agg(user_id order by joined_at, user_id) filter (where user_id <> :user_id))[1] as other_user_id
    from locked_participants
    where role = 'owner'
),

removed_participant as (
    delete from session_participants as p
    using owners as o
    where
        p.session_id = :session_id
        and p.user_id = :user_id
        and (o.include_actor or p.user_id = :actor_id)
        and o.other_user_id is not null
    returning
        p.session_id,
        p.user_id,
        p.role,
        p.permissions,
        p.joined_at,
        p.last_active_at,
        p.last_read_seq,
        o.other_user_id
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1,
        owner_user_id = case when s.owner_user_id = p.user_id then p.other_user_id else s.owner_user_id end
    from removed_participant as p
    where
        s.session_id = p.session_id
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
        'participant.removed',
        jsonb_build_object('user_id', p.user_id, 'role', p.role, 'permissions', p.permissions),
        :actor_id,
        s.updated_at
    from advanced_session as s
    inner join removed_participant as p on p.session_id = s.session_id
)

select
    user_id,
    role,
    permissions,
    joined_at,
    last_active_at,
    last_read_seq
from removed_participant;


-- name: read(actor_id, session_id, seq)^
-- Moves the caller's read marker forward, at most to the session's clock. Returns no row for strangers and for numbers
-- beyond the clock.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  seq         number up to which the caller has read
-- @return ReadMarker | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
with moved_marker as (
    update session_participants as p
    set last_read_seq = greatest(p.last_read_seq, :seq)
    from sessions as s
    where
        p.session_id = :session_id
        and p.user_id = :actor_id
        and s.session_id = :session_id
        and s.last_seq >= :seq
    returning
        p.session_id,
        p.last_read_seq
)

select
    p.session_id,
    p.last_read_seq,
    (
        select count(*)
        from (
            select
            from messages as m
            where
                m.session_id = :session_id
                and m.seq > p.last_read_seq
                and (m.role <> 'user' or m.author_user_id <> :actor_id)
            limit 100
        ) as u
    ) as unread
from moved_marker as p;


-- name: touch(session_ids, user_ids)
-- Records that users were active in sessions; a process does so at most once a minute for each. Locked rows are skipped and
-- not returned: the next activity tries again.
-- @param  session_ids  the sessions
-- @param  user_ids     the user of each, in the same order
-- @return ActiveParticipant[]
-- @access system
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx
with locked_participants as (
    select
        p.session_id,
        p.user_id
    from unnest(:session_ids::text[], :user_ids::text[]) as active (session_id, user_id)
    inner join session_participants as p on p.session_id = active.session_id and p.user_id = active.user_id
    for no key update of p skip locked
)

update session_participants as p
set last_active_at = now()
from locked_participants as l
where
    p.session_id = l.session_id
    and p.user_id = l.user_id
returning
    p.session_id,
    p.user_id;
