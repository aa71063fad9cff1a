-- depends: 0108-sessions-add_parent_session_id
-- transactional: false
-- The sub-agents of a session.
drop index concurrently if exists sessions_parent_session_id_idx;

create index concurrently sessions_parent_session_id_idx on sessions (parent_session_id) where parent_session_id is not null;
