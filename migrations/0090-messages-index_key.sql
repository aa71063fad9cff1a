-- depends: 0089-messages-add_key
-- transactional: false
drop index concurrently if exists messages_session_id_key_idx;

create unique index concurrently messages_session_id_key_idx on messages (session_id, key) where key is not null;
