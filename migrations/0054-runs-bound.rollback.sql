set local lock_timeout = '5s';

alter table runs
drop constraint runs_run_id_length_check;

drop trigger runs_timing_size_check on runs;

drop trigger runs_usage_size_check on runs;

drop trigger runs_error_size_check on runs;

drop trigger runs_response_size_check on runs;

drop trigger runs_message_size_check on runs;
