-- depends: 0027-configs-add_version
-- What configs were before they changed. A trigger keeps the former version, so that a change by hand is kept, too; the service
-- itself can add versions and read them, and alter none.
set local lock_timeout = '5s';

create table config_versions (
    config_id text collate "C" not null,
    version bigint not null,
    name varchar(255) not null,
    description text,
    config_json jsonb not null,
    tags jsonb not null,
    created_at timestamptz not null,
    constraint config_versions_pkey primary key (config_id, version),
    constraint config_versions_config_id_fkey foreign key (config_id) references configs on delete cascade
);

grant select, insert on config_versions to amplifier_app;

create function keep_config_version() returns trigger language plpgsql as $$
begin
    insert into config_versions (config_id, version, name, description, config_json, tags, created_at)
    values (old.config_id, old.version, old.name, old.description, old.config_json, old.tags, old.updated_at);
    new.version := old.version + 1;
    return new;
end
$$;

create trigger configs_keep_version before update of name, description, config_json, tags on configs
for each row when (
    (old.name, old.description, old.config_json, old.tags)
    is distinct from (new.name, new.description, new.config_json, new.tags)
)
execute function keep_config_version();
