-- name: get(actor_id, session_id, user_id)^
-- Returns the role and the rights of a participant in a session that the caller takes part in.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  user_id     the participant, or the caller
-- @return Rights | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx
-- @cost   40
select
    p.role,
    may_send(p.role, p.permissions) as may_send,
    may_cancel(p.role, p.permissions) as may_cancel,
    may_invite(p.role, p.permissions) as may_invite,
    may_export(p.role, p.permissions) as may_export
from session_participants as actor
inner join session_participants as p on p.session_id = actor.session_id
where
    actor.session_id = :session_id
    and actor.user_id = :actor_id
    and p.session_id = :session_id
    and p.user_id = :user_id;


-- name: update(actor_id, session_id, user_id, role, permissions)^
-- Changes a participant's role or permissions; null leaves a value as it is. Owners may; the last owner stays owner. All
-- owners' rows are locked first, in one order, so that when two owners demote each other the second is refused. If the
-- participant was the session's owner_user_id and is no longer an owner, the owner who joined first becomes owner_user_id.
-- Without a difference the row stays as it is, and there is no event.
-- @param  actor_id     user_id of the caller
-- @param  session_id   the session
-- @param  user_id      the participant to change
-- @param  role         the new role, or null
-- @param  permissions  the new overrides, a JSON object, or null
-- @return ParticipantChange | none
-- @access participant
-- @shards one
-- @with   audit.add: jsonb_build_object('changed', changes) as details
-- @index  session_participants_pkey, sessions_pkey
-- @cte    locked_participants  the rows of all owners, of the caller and of the participant, locked
-- @cte    owners               whether the caller is one of the owners, and which of the others joined first
-- @cte    former_participant   the participant before the change, if the caller may make it
-- @cte    changes              the values that differ, as a JSON object
-- @cte    changed_participant  the participant with the new values, if a value differs
-- @cte    advanced_session     the session with one more number
-- @cte    added_event          `participant.changed`
-- @cte    result               the participant as it is now
with locked_participants as (
    select *
    from session_participants
    where
        session_id = :session_id
        and (role = 'owner' or user_id in (:actor_id, :user_id))
    order by user_id
    for no key update
),

owners as (
    select
        bool_or(user_id = :actor_id) as include_actor,
        (array_agg(user_id order by joined_at, user_id) filter (where user_id <> :user_id))[1] as other_user_id
    from locked_participants
    where role = 'owner'
),

former_participant as (
    select
        p.*,
        o.other_user_id
    from locked_participants as p
    cross join owners as o
    where
        p.user_id = :user_id
        and o.include_actor
        and (coalesce(:role::text, 'owner') = 'owner' or o.other_user_id is not null)
),

changes as (
    select
        coalesce(
            jsonb_object_agg(f.name, jsonb_build_object('old', f.former, 'new', f.value))
            filter (where f.value <> f.former),
            '{}'
        ) as data
    from former_participant as p
    cross join lateral (
        values
        ('role', to_jsonb(coalesce(:role::text, p.role)), to_jsonb(p.role)),
        ('permissions', coalesce(:permissions::jsonb, p.permissions), p.permissions)
    ) as f (name, value, former)
),

changed_participant as (
    update session_participants as p
    set
        role = coalesce(:role::text, p.role),
        permissions = coalesce(:permissions::jsonb, p.permissions)
    from former_participant as f
    inner join changes as c on c.data <> '{}'
    where
        p.session_id = :session_id
        and p.user_id = :user_id
    returning
        p.*,
        f.other_user_id
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1,
        owner_user_id = case
            when s.owner_user_id = p.user_id and p.role <> 'owner' then p.other_user_id
            else s.owner_user_id
        end
    from changed_participant as p
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
        'participant.changed',
        jsonb_build_object('user_id', p.user_id, 'role', p.role, 'permissions', p.permissions),
        :actor_id,
        s.updated_at
    from advanced_session as s
    inner join changed_participant as p on p.session_id = s.session_id
),

result as (
    select * from changed_participant
    union all
    select * from former_participant
    where not exists (select from changed_participant)
)

select
    p.user_id,
    p.role,
    p.permissions,
    p.joined_at,
    p.last_active_at,
    p.last_read_seq,
    c.data as changes
from result as p
cross join changes as c;
