set local lock_timeout = '5s';

create or replace trigger configs_set_updated_at before update on configs
for each row when (new.updated_at is not distinct from old.updated_at)
execute function set_updated_at();

create or replace trigger configs_keep_version before update of name, description, config_json, tags on configs
for each row when (
    (old.name, old.description, old.config_json, old.tags)
    is distinct from (new.name, new.description, new.config_json, new.tags)
)
execute function keep_config_version();
