set local lock_timeout = '5s';

alter table configs
drop constraint configs_config_id_length_check;

drop trigger configs_description_size_check on configs;

drop trigger configs_tags_size_check on configs;

drop trigger configs_config_json_size_check on configs;
