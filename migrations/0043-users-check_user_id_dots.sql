-- depends: 0042-session_participants-check_user_id_dots
-- Clients resolve the segments . and .. of a path before they send it, so that a user of this name would be another resource.
-- Not validated: rows that are there stay until they are deleted.
set local lock_timeout = '5s';

alter table users
add constraint users_user_id_dots_check check (user_id !~ '(^|/)\.\.?(/|$)') not valid;
