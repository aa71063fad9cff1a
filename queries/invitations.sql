-- name: create(actor_id, session_id, invitation_id, token_hash, role, expires_in, max_uses)^
-- An invitation that admits whoever has its token. Owners and whoever has `invite` may, for roles up to their own.
-- @param  actor_id       user_id of the caller
-- @param  session_id     the session
-- @param  invitation_id  its id
-- @param  token_hash     SHA-256 of its token, in hexadecimal
-- @param  role           what it admits as
-- @param  expires_in     seconds until it expires
-- @param  max_uses       how many people it admits
-- @return Invitation | none
-- @access participant
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
with locked_actor as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and may_invite(role, permissions)
        and array_position(array['viewer', 'editor', 'owner'], :role::text)
            <= array_position(array['viewer', 'editor', 'owner'], role)
    for no key update
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1,
        updated_at = clock_timestamp()
    from locked_actor as p
    where
        s.session_id = p.session_id
        and s.session_id = :session_id
    returning
        s.session_id,
        s.last_seq,
        s.updated_at
),

created_invitation as (
    insert into session_invitations (
        session_id, invitation_id, seq, token_hash, role, max_uses, created_by_user_id, created_at, expires_at
    )
    select
        session_id,
        :invitation_id,
        last_seq,
        :token_hash,
        :role,
        :max_uses,
        :actor_id,
        updated_at,
        updated_at + make_interval(secs => :expires_in)
    from advanced_session
    returning
        session_id,
        invitation_id,
        seq,
        role,
        created_by_user_id,
        created_at,
        expires_at,
        max_uses,
        uses,
        revoked_at
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        session_id,
        seq,
        'invitation.created',
        jsonb_build_object('invitation_id', invitation_id, 'role', role, 'max_uses', max_uses),
        :actor_id,
        created_at
    from created_invitation
)

select
    invitation_id,
    seq,
    role,
    created_by_user_id,
    created_at,
    expires_at,
    max_uses,
    uses,
    revoked_at
from created_invitation;


-- name: list(actor_id, session_id, before_seq, limit)
-- A session's invitations, newest first, spent ones too. Owners may know.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  before_seq  seq of the last row of the page before
-- @param  limit       rows at most
-- @return Invitation[]
-- @access participant
-- @index  session_participants_pkey or session_participants_user_id_idx, session_invitations_pkey or session_invitations_token_hash_key
select
    i.invitation_id,
    i.seq,
    i.role,
    i.created_by_user_id,
    i.created_at,
    i.expires_at,
    i.max_uses,
    i.uses,
    i.revoked_at
from session_participants as p
inner join session_invitations as i on i.session_id = p.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and p.role = 'owner'
    and i.session_id = :session_id
    and i.seq < :before_seq
order by i.seq desc
limit :limit;


-- name: revoke(actor_id, session_id, invitation_id)^
-- Ends an invitation; who came by it stays. Owners may.
-- @param  actor_id       user_id of the caller
-- @param  session_id     the session
-- @param  invitation_id  the invitation
-- @return Invitation | none
-- @access participant
-- @index  session_participants_pkey or session_participants_user_id_idx, session_invitations_pkey, sessions_pkey
with locked_actor as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and role = 'owner'
    for no key update
),

revoked_invitation as (
    update session_invitations as i
    set revoked_at = clock_timestamp()
    from locked_actor as p
    where
        i.session_id = p.session_id
        and i.session_id = :session_id
        and i.invitation_id = :invitation_id
        and i.revoked_at is null
    returning
        i.session_id,
        i.invitation_id,
        i.seq,
        i.role,
        i.created_by_user_id,
        i.created_at,
        i.expires_at,
        i.max_uses,
        i.uses,
        i.revoked_at
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1,
        updated_at = clock_timestamp()
    from revoked_invitation as i
    where
        s.session_id = i.session_id
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
        'invitation.revoked',
        jsonb_build_object('invitation_id', i.invitation_id, 'role', i.role),
        :actor_id,
        s.updated_at
    from advanced_session as s
    inner join revoked_invitation as i on i.session_id = s.session_id
)

select
    invitation_id,
    seq,
    role,
    created_by_user_id,
    created_at,
    expires_at,
    max_uses,
    uses,
    revoked_at
from revoked_invitation;


-- name: lock(session_id, token_hash)!
-- Makes the claims of an invitation, its revocation, and changes of its maker's rights wait for each other. The maker's
-- row of session_participants is locked before the invitation's, as everywhere.
-- @param  session_id  the session
-- @param  token_hash  SHA-256 of the token, in hexadecimal
-- @return row count
-- @access system
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
-- it was created. Run invitations.lock before it in the same transaction, so that it sees the claims before it. Returns no
-- row if the caller is added in another way at the same moment; a second call returns the caller's row.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  token_hash  SHA-256 of the token, in hexadecimal
-- @return Claim | none
-- @access self
-- @index  session_invitations_token_hash_key, session_participants_pkey, session_events_pkey, sessions_pkey
-- @cte    open_invitation    the invitation, if it is valid, its creator may invite for its role, and the caller may use it
-- @cte    added_participant  the caller's new row
-- @cte    used_invitation    the invitation with one more use
-- @cte    advanced_session   the session with two more numbers
-- @cte    added_events       `invitation.used` and `participant.added`
with open_invitation as (
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
        last_seq = s.last_seq + 2,
        updated_at = clock_timestamp()
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
    p.session_id,
    p.user_id,
    p.role,
    p.permissions,
    p.joined_at,
    p.last_active_at,
    false as is_new
from session_invitations as i
inner join session_participants as p on p.session_id = i.session_id
where
    i.session_id = :session_id
    and i.token_hash = :token_hash
    and p.session_id = :session_id
    and p.user_id = :actor_id;


-- name: find(session_id, token_hash)^
-- Why an invitation does not admit: what it is now, for whoever has its token.
-- @param  session_id  the session
-- @param  token_hash  SHA-256 of the token, in hexadecimal
-- @return InvitationState | none
-- @access system
-- @index  session_invitations_token_hash_key
select
    revoked_at is not null as is_revoked,
    expires_at <= now() as is_expired,
    uses >= max_uses as is_used_up
from session_invitations
where
    session_id = :session_id
    and token_hash = :token_hash;
