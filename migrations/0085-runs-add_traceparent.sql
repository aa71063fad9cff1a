-- depends: 0084-messages-read_every_format
-- The trace of the request that queued a run, so that the process that executes it continues the trace. Earlier releases
-- leave it null.
set local lock_timeout = '5s';

alter table runs add column traceparent varchar(55);

comment on column runs.traceparent is 'Trace context (W3C traceparent) of the request that queued the run; null if it was not traced';
