-- transactional: false
drop index concurrently if exists runs_user_id_queued_idx;
