-- transactional: false
drop index concurrently if exists messages_search_idx;
