-- depends: 0047-audit_log-bound
-- 1 MB for a config as it is stored, its secrets encrypted.
set local lock_timeout = '5s';

create trigger configs_config_json_size_check before insert or update of config_json on configs
for each row when (octet_length(new.config_json::text) > 1048576) execute function refuse_value('config_json');

-- 50 tags of 100 and 500 characters, each of which may be printed as \u0001.
create trigger configs_tags_size_check before insert or update of tags on configs
for each row when (octet_length(new.tags::text) > 196608) execute function refuse_value('tags');

create trigger configs_description_size_check before insert or update of description on configs
for each row when (length(new.description) > 10000) execute function refuse_value('description');

alter table configs
add constraint configs_config_id_length_check check (greatest(length(config_id), length(user_id)) <= 255) not valid;
