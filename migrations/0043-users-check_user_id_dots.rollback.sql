set local lock_timeout = '5s';

alter table users
drop constraint users_user_id_dots_check;
