-- transactional: false
drop index concurrently if exists messages_created_at_idx;
