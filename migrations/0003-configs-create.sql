-- depends: 0002-users-create
-- Reusable agent configurations; each belongs to one user.
set local lock_timeout = '5s';

create table configs (
    config_id text collate "C" not null,
    name varchar(255) not null,
    description text,
    config_json jsonb not null,
    user_id text collate "C",
    tags jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint configs_pkey primary key (config_id),
    constraint configs_name_check check (name <> ''),
    constraint configs_config_json_check check (jsonb_typeof(config_json) = 'object'),
    constraint configs_config_json_depth_check check (not config_json @? '$.**{64}'),
    constraint configs_tags_check check (jsonb_typeof(tags) = 'object')
);

create index configs_user_id_idx on configs (user_id, updated_at desc, config_id desc);
create index configs_config_json_idx on configs using gin (config_json jsonb_path_ops);
create index configs_tags_idx on configs using gin (tags jsonb_path_ops);

create trigger configs_set_updated_at before update on configs
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();
