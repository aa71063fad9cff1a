set local lock_timeout = '5s';

alter table applications
drop constraint applications_api_key_prefix_length_check;

drop trigger applications_settings_size_check on applications;
