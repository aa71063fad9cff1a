-- depends: 0011-session_participants-validate_permissions
-- transactional: false
-- A user's sessions, latest activity first: a page costs the same wherever it stands. `last_active_at` moves at most once a
-- minute. What an interrupted run left behind is invalid and goes first.
drop index concurrently if exists session_participants_last_active_at_idx;

create index concurrently session_participants_last_active_at_idx
on session_participants (user_id, last_active_at desc, session_id desc);
