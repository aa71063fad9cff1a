-- depends: 0001-applications-create
-- People as their tokens name them. Rows appear with the first request; nothing refers to them by foreign key.
set local lock_timeout = '5s';

create table users (
    user_id text collate "C" not null,
    first_seen timestamptz not null default now(),
    last_seen timestamptz not null default now(),
    last_seen_app_id text collate "C",
    total_sessions integer not null default 0,
    metadata jsonb not null default '{}',
    constraint users_pkey primary key (user_id),
    constraint users_user_id_check check (length(user_id) between 1 and 255),
    constraint users_total_sessions_check check (total_sessions >= 0),
    constraint users_metadata_check check (jsonb_typeof(metadata) = 'object')
);

create index users_metadata_idx on users using gin (metadata jsonb_path_ops);
