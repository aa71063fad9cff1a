-- depends: 0052-messages-bound
-- An id has 255 characters at most, as in every table.
set local lock_timeout = '5s';

alter table rate_limits
add constraint rate_limits_user_id_length_check check (greatest(length(app_id), length(user_id)) <= 255) not valid;
