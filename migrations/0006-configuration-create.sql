-- depends: 0005-session_participants-create
-- Settings of the deployment that applications share.
set local lock_timeout = '5s';

create table configuration (
    key text collate "C" not null,
    value jsonb not null,
    scope text not null default 'global',
    updated_at timestamptz not null default now(),
    constraint configuration_pkey primary key (key),
    constraint configuration_key_check check (length(key) between 1 and 255),
    constraint configuration_scope_check check (length(scope) between 1 and 100),
    constraint configuration_value_depth_check check (not value @? '$.**{64}')
);

create index configuration_value_idx on configuration using gin (value jsonb_path_ops);

create trigger configuration_set_updated_at before update on configuration
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();
