-- name: lock(session_id, token_hash)!
-- Locks an invitation after the session_participants row of its creator, in the order that all statements use: claims,
-- revocations and changes of the creator's rights wait for each other.
-- @param  session_id  the session
-- @param  token_hash  SHA-256 of the token, in hexadecimal
-- @return row count
-- @access system
-- @shards one
-- @index  session_invitations_token_hash_key, session_participants_pkey
select
from session_invitations as i
inner join session_participants as p on p.session_id = i.session_id and p.user_id = i.created_by_user_id
where
    i.session_id = :session_id
    and i.token_hash = :token_hash
    and p.session_id = :session_id
for no key update of p, i;


-- name: claim(actor_id, session_id, token_hash)^
-- Adds the caller to a session by an invitation. Callers who take part already keep their role and use nothing up. An
-- invitation admits callers while its creator takes part and may invite for its role; it admits nobody who was removed after
-- it was created. Run invitation_claims.lock before it in the same transaction, so that it sees the claims before it. Returns no
-- row if the caller is added in another way at the same moment; a second call returns the caller's row.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  token_hash  SHA-256 of the token, in hexadecimal
-- @return Claim | none
-- @access self
-- @shards one
-- @with   audit.add: jsonb_build_object('role', role) as details
-- @index  session_invitations_token_hash_key, session_participants_pkey, session_events_pkey, sessions_pkey
-- @cte    known_participant  the caller's row before the statement changes anything, if the invitation is of the session
-- @cte    open_invitation    the invitation, if it is valid, its creator may invite for its role, and the caller may use it
-- @cte    added_participant  the caller's new row
-- @cte    used_invitation    the invitation with one more use
-- @cte    advanced_session   the session with two more numbers
-- @cte    added_events       `invitation.used` and `participant.added`
with known_participant as materialized (
    select
        p.session_id,
        p.user_id,
        p.role,
        p.permissions,
        p.joined_at,
        p.last_active_at
    from session_invitations as i
    inner join session_participants as p on p.session_id = i.session_id
    where
        i.session_id = :session_id
        and i.token_hash = :token_hash
        and p.session_id = :session_id
        and p.user_id = :actor_id
),

open_invitation as (
    select
        i.invitation_id,
        i.role
    from session_invitations as i
    inner join session_participants as p on p.session_id = i.session_id and p.user_id = i.created_by_user_id
    where
        i.session_id = :session_id
        and i.token_hash = :token_hash
        and p.session_id = :session_id
        and may_invite(p.role, p.permissions)
        and array_position(array['viewer', 'editor', 'owner'], i.role)
            <= array_position(array['viewer', 'editor', 'owner'], p.role)
        and not exists (
            select
            from session_participants
            where
                session_id = :session_id
                and user_id = :actor_id
        )
        and not exists (
            select
            from session_events as e
            where
                e.session_id = :session_id
                and e.seq > i.seq
                and e.type = 'participant.removed'
                and e.data ->> 'user_id' = :actor_id
                and e.actor_user_id <> :actor_id
        )
        and i.revoked_at is null
        and i.expires_at > now()
        and i.uses < i.max_uses
),

added_participant as (
    insert into session_participants (session_id, user_id, role)
    select
        :session_id,
        :actor_id,
        role
    from open_invitation
    on conflict (session_id, user_id) do nothing
    returning
        session_id,
        user_id,
        role,
        permissions,
        joined_at,
        last_active_at
),

used_invitation as (
    update session_invitations as i
    set uses = i.uses + 1
    from added_participant as p, open_invitation as o
    where
        i.session_id = p.session_id
        and i.session_id = :session_id
        and i.invitation_id = o.invitation_id
    returning
        i.session_id,
        i.invitation_id,
        i.role
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 2
    from used_invitation as i
    where
        s.session_id = i.session_id
        and s.session_id = :session_id
    returning
        s.session_id,
        s.last_seq,
        s.updated_at
),

added_events as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq - 1,
        'invitation.used',
        jsonb_build_object('invitation_id', i.invitation_id, 'role', i.role),
        :actor_id,
        s.updated_at
    from advanced_session as s
    inner join used_invitation as i on i.session_id = s.session_id
    union all
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
    session_id,
    user_id,
    role,
    permissions,
    joined_at,
    last_active_at,
    true as is_new
from added_participant
union all
select
    session_id,
    user_id,
    role,
    permissions,
    joined_at,
    last_active_at,
    false as is_new
from known_participant;


-- name: find(session_id, token_hash)^
-- Returns why an invitation admits nobody, for users who have its token.
-- @param  session_id  the session
-- @param  token_hash  SHA-256 of the token, in hexadecimal
-- @return InvitationState | none
-- @access system
-- @shards one
-- @index  session_invitations_token_hash_key
select
    revoked_at is not null as is_revoked,
    expires_at <= now() as is_expired,
    uses >= max_uses as is_used_up
from session_invitations
where
    session_id = :session_id
    and token_hash = :token_hash;
