-- depends: 0058-session_invitations-bound
-- 64 kB of metadata, and tags as those of configs. An append updates neither column, so that it does not measure them.
set local lock_timeout = '5s';

create trigger sessions_metadata_size_check before insert or update of metadata on sessions
for each row when (octet_length(new.metadata::text) > 65536) execute function refuse_value('metadata');

create trigger sessions_tags_size_check before insert or update of tags on sessions
for each row when (octet_length(new.tags::text) > 196608) execute function refuse_value('tags');

alter table sessions
add constraint sessions_session_id_length_check check (greatest(length(session_id), length(owner_user_id), length(created_by_app_id), length(last_accessed_by_app_id), length(forked_from_session_id), length(search_language), length(search_revision)) <= 255) not valid;
