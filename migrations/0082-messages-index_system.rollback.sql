-- transactional: false
drop index concurrently if exists messages_session_id_system_idx;
