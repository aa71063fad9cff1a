-- All approvals are lost.
set local lock_timeout = '5s';

drop table run_approvals;
