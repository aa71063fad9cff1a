set local lock_timeout = '5s';

drop trigger config_versions_description_size_check on config_versions;

drop trigger config_versions_tags_size_check on config_versions;

drop trigger config_versions_config_json_size_check on config_versions;
