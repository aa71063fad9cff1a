set local lock_timeout = '5s';

alter table messages
drop constraint messages_author_user_id_length_check;
