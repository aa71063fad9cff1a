-- depends: 0048-configs-bound
-- Versions are copies that the trigger of configs makes, and are bound as configs are. Where a config of an earlier release is over the
-- bound, its copy must not be refused, or the config could never be replaced by a smaller one: only what is inserted by hand is measured.
set local lock_timeout = '5s';

create trigger config_versions_config_json_size_check before insert or update of config_json on config_versions
for each row when (pg_trigger_depth() = 0 and octet_length(new.config_json::text) > 1048576) execute function refuse_value('config_json');

create trigger config_versions_tags_size_check before insert or update of tags on config_versions
for each row when (pg_trigger_depth() = 0 and octet_length(new.tags::text) > 196608) execute function refuse_value('tags');

create trigger config_versions_description_size_check before insert or update of description on config_versions
for each row when (pg_trigger_depth() = 0 and length(new.description) > 10000) execute function refuse_value('description');
