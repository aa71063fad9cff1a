-- depends: 0066-runs-count
-- transactional: false
-- How many messages of a user wait, in all sessions.
drop index concurrently if exists runs_user_id_queued_idx;

create index concurrently runs_user_id_queued_idx on runs (user_id) where status = 'queued';
