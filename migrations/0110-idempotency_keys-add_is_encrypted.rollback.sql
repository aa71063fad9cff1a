-- Requests with an answer that is not encrypted are refused (409) if they are repeated.
set local lock_timeout = '5s';

alter table idempotency_keys drop column is_encrypted;
