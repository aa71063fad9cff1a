set local lock_timeout = '5s';

drop function runs_count_queued_of_user;

drop function runs_count_queued;

drop function runs_count_running;
