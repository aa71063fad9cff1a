-- depends: 0061-streams-bound
-- 64 kB of metadata.
set local lock_timeout = '5s';

create trigger users_metadata_size_check before insert or update of metadata on users
for each row when (octet_length(new.metadata::text) > 65536) execute function refuse_value('metadata');

alter table users
add constraint users_last_seen_app_id_length_check check (length(last_seen_app_id) <= 255) not valid;
