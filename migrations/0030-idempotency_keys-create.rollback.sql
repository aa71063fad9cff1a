-- Requests that are repeated across this are carried out twice.
set local lock_timeout = '5s';

drop table idempotency_keys;
