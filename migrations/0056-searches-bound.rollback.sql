set local lock_timeout = '5s';

alter table searches
drop constraint searches_user_id_length_check;
