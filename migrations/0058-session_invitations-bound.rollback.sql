set local lock_timeout = '5s';

alter table session_invitations
drop constraint session_invitations_invitation_id_length_check;
