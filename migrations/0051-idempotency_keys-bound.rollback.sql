set local lock_timeout = '5s';

alter table idempotency_keys
drop constraint idempotency_keys_session_ids_size_check,
drop constraint idempotency_keys_response_size_check,
drop constraint idempotency_keys_user_id_length_check;
