-- transactional: false
drop index concurrently if exists session_participants_last_active_at_idx;
