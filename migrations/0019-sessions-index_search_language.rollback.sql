-- transactional: false
drop index concurrently if exists sessions_search_language_idx;
