set local lock_timeout = '5s';

alter table idempotency_keys
drop column session_ids,
drop column config_ids,
drop column app_ids;
