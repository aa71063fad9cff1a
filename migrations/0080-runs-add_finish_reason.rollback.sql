-- The reasons of the runs are lost.
set local lock_timeout = '5s';

alter table runs drop column finish_reason;
