-- What configs were before they changed is lost.
set local lock_timeout = '5s';

drop trigger configs_keep_version on configs;
drop function keep_config_version;
drop table config_versions;
