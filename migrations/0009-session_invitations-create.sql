-- depends: 0008-session_events-create
-- Invitations for people whose user_id is not known: whoever has the token may join. Only its hash is kept.
-- `seq` is the session's clock when it was made: it admits nobody who was removed after that.
set local lock_timeout = '5s';

create table session_invitations (
    session_id text collate "C" not null,
    invitation_id text collate "C" not null,
    seq bigint not null,
    token_hash text collate "C" not null,
    role text not null,
    max_uses integer not null,
    uses integer not null default 0,
    created_by_user_id text collate "C" not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    constraint session_invitations_pkey primary key (session_id, invitation_id),
    constraint session_invitations_token_hash_key unique (session_id, token_hash),
    constraint session_invitations_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint session_invitations_token_hash_check check (token_hash ~ '^[0-9a-f]{64}$'),
    constraint session_invitations_role_check check (role in ('owner', 'editor', 'viewer')),
    constraint session_invitations_uses_check check (uses between 0 and max_uses)
);
