-- depends: 0046-application_keys-bound
-- Rows are only added.
set local lock_timeout = '5s';

alter table audit_log
add constraint audit_log_user_id_length_check check (greatest(length(user_id), length(app_id), length(action), length(target_type), length(target_id), length(address), length(request_id)) <= 255) not valid,
add constraint audit_log_details_size_check check (octet_length(details::text) <= 65536) not valid;
