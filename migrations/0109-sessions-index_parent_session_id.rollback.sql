-- transactional: false
drop index concurrently if exists sessions_parent_session_id_idx;
