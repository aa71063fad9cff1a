-- depends: 0097-runs-index_queued_at
-- transactional: false
-- The messages of a period, for reports on usage. Messages lie in the order of time, so a summary of each block range
-- finds them, and an append pays next to nothing for it.
drop index concurrently if exists messages_created_at_idx;

create index concurrently messages_created_at_idx on messages
using brin (created_at) with (pages_per_range = 32, autosummarize = on);
