-- transactional: false
drop index concurrently if exists sessions_search_idx;
