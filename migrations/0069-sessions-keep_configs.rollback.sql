set local lock_timeout = '5s';

drop trigger sessions_drop_config on sessions;

drop function sessions_drop_config();

drop trigger sessions_keep_config on sessions;

drop function sessions_keep_config();
