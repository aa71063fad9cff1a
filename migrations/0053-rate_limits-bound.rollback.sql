set local lock_timeout = '5s';

alter table rate_limits
drop constraint rate_limits_user_id_length_check;
