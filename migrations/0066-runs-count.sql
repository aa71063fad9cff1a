-- depends: 0065-messages-bound_headline
-- How many runs of a session or a user go on or wait. A statement that changes a session asks under the lock of the session's row: it
-- sees what was committed before it began, and these functions, which are volatile, see what was committed since, while it waited.
set local lock_timeout = '5s';

create function runs_count_running(of_session_id text) returns bigint
language plpgsql volatile
as $$
begin
    return (select count(*) from public.runs where session_id = of_session_id and status = 'running');
end
$$;

create function runs_count_queued(of_session_id text) returns bigint
language plpgsql volatile
as $$
begin
    return (select count(*) from public.runs where session_id = of_session_id and status = 'queued');
end
$$;

-- Messages of one user that come at the same moment in several sessions are counted one after the other: no row is common to them.
create function runs_count_queued_of_user(of_user_id text) returns bigint
language plpgsql volatile
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('runs of ' || of_user_id, 0));
    return (select count(*) from public.runs where user_id = of_user_id and status = 'queued');
end
$$;
