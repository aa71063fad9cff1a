-- depends: 0016-messages-fill_search
-- transactional: false
-- Search: one index that knows the words and the sessions, so that it finds a person's hits without looking at anybody else's
-- rows. `fastupdate = off`: with it an append now and then pays for the thousand before (99th percentile 81 ms instead of 4).
-- What an interrupted run left behind is invalid and goes first.
drop index concurrently if exists messages_search_idx;

create index concurrently messages_search_idx on messages using gin (search, (array[session_id])) with (fastupdate = off);
