set local lock_timeout = '5s';

drop trigger sessions_search_language_length_check on sessions;

drop trigger sessions_forked_from_session_id_length_check on sessions;

drop trigger sessions_created_by_app_id_length_check on sessions;

drop trigger sessions_owner_user_id_length_check on sessions;

drop trigger sessions_session_id_length_check on sessions;

alter table sessions
add constraint sessions_session_id_length_check check (greatest(length(session_id), length(owner_user_id), length(created_by_app_id), length(last_accessed_by_app_id), length(forked_from_session_id), length(search_language), length(search_revision)) <= 255) not valid;
