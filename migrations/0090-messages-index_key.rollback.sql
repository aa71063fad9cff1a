-- transactional: false
drop index concurrently if exists messages_session_id_key_idx;
