-- depends: 0017-messages-index_search
-- transactional: false
-- Search for a rare word begins with the rows that have it, also among titles and tags.
drop index concurrently if exists sessions_search_idx;

create index concurrently sessions_search_idx on sessions using gin (search) with (fastupdate = off);
