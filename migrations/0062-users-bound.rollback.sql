set local lock_timeout = '5s';

alter table users
drop constraint users_last_seen_app_id_length_check;

drop trigger users_metadata_size_check on users;
