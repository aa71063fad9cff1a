-- depends: 0099-searches-index_day
-- Numbers of each run, for reports on usage. Providers write into `usage`: what is no number counts as 0, and none is so large
-- that the sum of all runs overflows.
set local lock_timeout = '5s';

create function usage_number(numbers jsonb, member text) returns numeric
language sql immutable parallel safe
return case
    when jsonb_typeof(numbers -> member) = 'number' then least(greatest((numbers -> member)::numeric, 0), 1000000000000)
    else 0
end;

create view run_usage as
select
    session_id,
    run_id,
    user_id,
    app_id,
    status,
    queued_at,
    usage_number(usage, 'model_calls') as model_calls,
    usage_number(usage, 'tool_calls') as tool_calls,
    usage_number(usage, 'input_tokens') as input_tokens,
    usage_number(usage, 'output_tokens') as output_tokens,
    usage_number(usage, 'total_tokens') as total_tokens,
    usage_number(usage, 'cache_read_tokens') as cache_read_tokens,
    usage_number(usage, 'cache_write_tokens') as cache_write_tokens,
    usage_number(timing, 'model') as model_seconds,
    usage_number(timing, 'tools') as tool_seconds,
    case when jsonb_typeof(usage -> 'models') = 'object' then usage -> 'models' else '{}' end as models
from runs;

grant select on run_usage to amplifier_app, amplifier_readonly;

comment on function usage_number is 'Returns a number of a JSON object of numbers, between 0 and 10^12; 0 if it has none';

comment on view run_usage is 'Calls, tokens and seconds of each run of an agent, in sessions that still exist. Numbers are written when a run ends.';

comment on column run_usage.session_id is 'The session';

comment on column run_usage.run_id is 'Id of the run';

comment on column run_usage.user_id is 'The user that sent the message';

comment on column run_usage.app_id is 'The application that the message was sent through';

comment on column run_usage.status is 'State: queued, running, completed, failed or cancelled';

comment on column run_usage.queued_at is 'Time when the message arrived';

comment on column run_usage.model_calls is 'Number of calls of models';

comment on column run_usage.tool_calls is 'Number of calls of tools';

comment on column run_usage.input_tokens is 'Number of tokens that models read, as providers report them';

comment on column run_usage.output_tokens is 'Number of tokens that models wrote, as providers report them';

comment on column run_usage.total_tokens is 'Number of tokens in all, as providers report them';

comment on column run_usage.cache_read_tokens is 'Number of tokens that models read from a cache';

comment on column run_usage.cache_write_tokens is 'Number of tokens that models wrote to a cache';

comment on column run_usage.model_seconds is 'Time of all calls of models, in seconds';

comment on column run_usage.tool_seconds is 'Time of all calls of tools, in seconds';

comment on column run_usage.models is 'The same calls and tokens for each model, a JSON object of objects by the name of the model; empty for runs of earlier releases';
