-- depends: 0055-run_approvals-bound
-- An id has 255 characters at most, as in every table.
set local lock_timeout = '5s';

alter table searches
add constraint searches_user_id_length_check check (greatest(length(user_id), length(app_id)) <= 255) not valid;
