set local lock_timeout = '5s';

alter table audit_log
drop constraint audit_log_details_size_check,
drop constraint audit_log_user_id_length_check;
