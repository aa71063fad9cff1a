-- depends: 0050-configuration-bound
-- Answers are kept for a day, so that nothing of an earlier release is here for long.
set local lock_timeout = '5s';

alter table idempotency_keys
add constraint idempotency_keys_user_id_length_check check (greatest(length(app_id), length(user_id), length(key_hash), length(request_hash), length(etag)) <= 255) not valid,
add constraint idempotency_keys_response_size_check check (octet_length(response) <= 16777216) not valid,
add constraint idempotency_keys_session_ids_size_check check (greatest(octet_length(session_ids::text), octet_length(config_ids::text), octet_length(app_ids::text)) <= 65536) not valid;
