-- depends: 0098-messages-index_created_at
-- transactional: false
-- The searches of a period, for reports on usage.
drop index concurrently if exists searches_day_idx;

create index concurrently searches_day_idx on searches (day);
