-- Who did what is lost.
set local lock_timeout = '5s';

drop table audit_log;
