-- depends: 0018-sessions-index_search
-- transactional: false
-- Which languages there are: a search takes one step for each. Most sessions name none.
drop index concurrently if exists sessions_search_language_idx;

create index concurrently sessions_search_language_idx on sessions (search_language) where search_language is not null;
