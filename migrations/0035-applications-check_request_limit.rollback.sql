set local lock_timeout = '5s';

alter table applications
drop constraint applications_settings_request_limit_check;

drop function request_limit;
