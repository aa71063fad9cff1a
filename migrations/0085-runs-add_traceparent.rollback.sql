-- Queued runs begin traces of their own.
set local lock_timeout = '5s';

alter table runs drop column traceparent;
