set local lock_timeout = '5s';
drop view run_usage;
drop function usage_number(jsonb, text);
