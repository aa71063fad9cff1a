-- transactional: false
drop index concurrently if exists searches_day_idx;
