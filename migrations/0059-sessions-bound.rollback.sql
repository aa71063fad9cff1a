set local lock_timeout = '5s';

alter table sessions
drop constraint sessions_session_id_length_check;

drop trigger sessions_tags_size_check on sessions;

drop trigger sessions_metadata_size_check on sessions;
