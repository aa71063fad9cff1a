-- depends: 0057-session_events-bound
-- An id has 255 characters at most, as in every table.
set local lock_timeout = '5s';

alter table session_invitations
add constraint session_invitations_invitation_id_length_check check (greatest(length(invitation_id), length(created_by_user_id)) <= 255) not valid;
