-- All runs are lost, also the messages that wait for their turn.
set local lock_timeout = '5s';

drop table runs;
