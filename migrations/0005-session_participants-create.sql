-- depends: 0004-sessions-create
-- Who takes part in a session, and as what. Every query that serves a user joins this table.
set local lock_timeout = '5s';

create table session_participants (
    session_id text collate "C" not null,
    user_id text collate "C" not null,
    role text not null,
    joined_at timestamptz not null default now(),
    last_active_at timestamptz not null default now(),
    permissions jsonb not null default '{}',
    constraint session_participants_pkey primary key (session_id, user_id),
    constraint session_participants_session_id_fkey
        foreign key (session_id) references sessions on delete cascade,
    constraint session_participants_user_id_check check (length(user_id) between 1 and 255),
    constraint session_participants_role_check check (role in ('owner', 'editor', 'viewer')),
    constraint session_participants_permissions_check check (jsonb_typeof(permissions) = 'object')
);

create index session_participants_user_id_idx on session_participants (user_id, session_id);
create index session_participants_permissions_idx on session_participants using gin (permissions jsonb_path_ops);
