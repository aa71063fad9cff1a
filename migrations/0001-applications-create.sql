-- Applications call the API with a key; admin applications manage the others.
set local lock_timeout = '5s';

-- Every table keeps `updated_at` with this trigger; a statement that sets the column itself skips it.
create function set_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := clock_timestamp();
    return new;
end
$$;

create table applications (
    app_id varchar(100) collate "C" not null,
    app_name varchar(255) not null,
    api_key_hash text not null,
    api_key_prefix text collate "C" not null,
    is_active boolean not null default true,
    is_admin boolean not null default false,
    settings jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint applications_pkey primary key (app_id),
    constraint applications_api_key_prefix_key unique (api_key_prefix),
    constraint applications_app_id_check check (app_id ~ '^[a-z0-9-]+$'),
    constraint applications_app_name_check check (app_name <> ''),
    constraint applications_api_key_hash_check check (api_key_hash ~ '^[0-9a-f]{64}$'),
    constraint applications_settings_check check (jsonb_typeof(settings) = 'object'),
    constraint applications_settings_depth_check check (not settings @? '$.**{64}')
);

create index applications_settings_idx on applications using gin (settings jsonb_path_ops);

create trigger applications_set_updated_at before update on applications
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();

-- Processes remember verified keys for some seconds; this makes them forget at once. Writes to this table are
-- rare, so the cost of a NOTIFY inside a transaction does not matter here.
create function announce_application() returns trigger language plpgsql as $$
begin
    perform pg_notify('amplifier', 'application ' || old.app_id);
    return null;
end
$$;

create trigger applications_announce after update or delete on applications
for each row execute function announce_application();
