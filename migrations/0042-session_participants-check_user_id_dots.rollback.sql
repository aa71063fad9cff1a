set local lock_timeout = '5s';

alter table session_participants
drop constraint session_participants_user_id_dots_check;
