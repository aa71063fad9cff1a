set local lock_timeout = '5s';

alter table application_keys
drop constraint application_keys_key_id_length_check;
