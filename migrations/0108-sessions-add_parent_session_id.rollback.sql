set local lock_timeout = '5s';

drop trigger sessions_parent_session_id_length_check on sessions;

alter table sessions drop column parent_session_id;
