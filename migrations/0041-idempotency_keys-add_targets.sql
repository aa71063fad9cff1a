-- depends: 0040-session_events-bound_data
-- What an answer shows, of what its caller could see when it was stored: it is shown again while they see all of it.
set local lock_timeout = '5s';

alter table idempotency_keys
add column session_ids text[] collate "C",
add column config_ids text[] collate "C",
add column app_ids text[] collate "C";
