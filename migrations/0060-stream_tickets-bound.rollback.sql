set local lock_timeout = '5s';

alter table stream_tickets
drop constraint stream_tickets_user_id_length_check;
