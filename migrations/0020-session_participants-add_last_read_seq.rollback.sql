set local lock_timeout = '5s';

drop function count_unread;

alter table session_participants
drop column last_read_seq;
