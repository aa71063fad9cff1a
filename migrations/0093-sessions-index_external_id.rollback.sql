-- transactional: false
drop index concurrently if exists sessions_external_id_idx;
