-- depends: 0096-attachments-create
-- transactional: false
-- The runs of a period, for reports on usage.
drop index concurrently if exists runs_queued_at_idx;

create index concurrently runs_queued_at_idx on runs (queued_at);
