-- depends: 0053-rate_limits-bound
-- A message that waits becomes a row of messages, so it has the same bound: one that no transcript takes could never be claimed.
set local lock_timeout = '5s';

create trigger runs_message_size_check before insert or update of message on runs
for each row when (octet_length(new.message::text) > 16777216) execute function refuse_value('message');

create trigger runs_response_size_check before insert or update of response on runs
for each row when (octet_length(new.response) > 16777216) execute function refuse_value('response');

create trigger runs_error_size_check before insert or update of error on runs
for each row when (octet_length(new.error::text) > 65536) execute function refuse_value('error');

create trigger runs_usage_size_check before insert or update of usage on runs
for each row when (octet_length(new.usage::text) > 65536) execute function refuse_value('usage');

create trigger runs_timing_size_check before insert or update of timing on runs
for each row when (octet_length(new.timing::text) > 65536) execute function refuse_value('timing');

alter table runs
add constraint runs_run_id_length_check check (greatest(length(run_id), length(user_id), length(app_id), length(cancelled_by_user_id), length(process_id)) <= 255) not valid;
