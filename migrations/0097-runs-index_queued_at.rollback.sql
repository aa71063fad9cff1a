-- transactional: false
drop index concurrently if exists runs_queued_at_idx;
