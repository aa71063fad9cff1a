-- name: create(actor_id, session_id, invitation_id, token_hash, role, expires_in, max_uses)^
-- Creates an invitation that admits users who have its token. Owners and participants with `invite` may, for roles up to
-- their own.
-- @param  actor_id       user_id of the caller
-- @param  session_id     the session
-- @param  invitation_id  a new id
-- @param  token_hash     SHA-256 of its token, in hexadecimal
-- @param  role           the role that it gives
-- @param  expires_in     seconds until it expires
-- @param  max_uses       how many users it admits
-- @return Invitation | none
-- @access participant
-- @shards one
-- @with   audit.add
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
        last_seq = s.last_seq + 1
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
-- Lists a session's invitations, the newest first, spent ones too. Owners may.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  before_seq  seq of the last row of the page before
-- @param  limit       rows at most
-- @return Invitation[]
-- @access participant
-- @shards one
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
-- Revokes an invitation; users whom it admitted stay. Owners may.
-- @param  actor_id       user_id of the caller
-- @param  session_id     the session
-- @param  invitation_id  the invitation
-- @return Invitation | none
-- @access participant
-- @shards one
-- @with   audit.add
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
    set revoked_at = statement_timestamp()
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
        last_seq = s.last_seq + 1
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
