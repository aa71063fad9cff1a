-- depends: 0003-configs-create
-- A session and its clock: `last_seq` counts what happened in it. Whoever adds to a session takes the next numbers
-- under this row's lock, so the order of numbers is the order of commits, without a gap.
set local lock_timeout = '5s';

-- The columns that every append writes (last_seq, message_count, updated_at, last_accessed_*) stand in no index, and
-- pages keep room: such updates stay on their page and touch no index (HOT).
create table sessions (
    session_id text collate "C" not null,
    config_id text collate "C" not null,
    owner_user_id text collate "C" not null,
    created_by_app_id text collate "C" not null,
    last_accessed_by_app_id text collate "C",
    last_accessed_at timestamptz,
    status text not null default 'active',
    title text,
    tags jsonb not null default '{}',
    metadata jsonb not null default '{}',
    message_count integer not null default 0,
    last_seq bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint sessions_pkey primary key (session_id),
    constraint sessions_config_id_fkey foreign key (config_id) references configs on delete cascade,
    constraint sessions_status_check check (status in ('active', 'completed', 'failed', 'cancelled')),
    constraint sessions_title_check check (length(title) <= 255),
    constraint sessions_tags_check check (jsonb_typeof(tags) = 'object'),
    constraint sessions_metadata_check check (jsonb_typeof(metadata) = 'object'),
    constraint sessions_metadata_depth_check check (not metadata @? '$.**{64}'),
    constraint sessions_message_count_check check (message_count >= 0),
    constraint sessions_last_seq_check check (last_seq >= 0)
) with (fillfactor = 80);

create index sessions_config_id_idx on sessions (config_id);
create index sessions_tags_idx on sessions using gin (tags jsonb_path_ops);
create index sessions_metadata_idx on sessions using gin (metadata jsonb_path_ops);

create trigger sessions_set_updated_at before update on sessions
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();
