-- depends: 0041-idempotency_keys-add_targets
-- Clients resolve the segments . and .. of a path before they send it, so that a user of this name would be another resource.
-- Not validated: rows that are there stay until they are deleted.
set local lock_timeout = '5s';

alter table session_participants
add constraint session_participants_user_id_dots_check check (user_id !~ '(^|/)\.\.?(/|$)') not valid;
