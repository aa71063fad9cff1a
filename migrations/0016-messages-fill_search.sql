-- depends: 0015-messages-add_search
-- transactional: false
-- Makes the sessions and messages that exist searchable, some in each transaction, while the service goes on: about four
-- minutes for a million messages. It may be interrupted and run again.
do $$
declare
    at_session_id text;
    at_seq bigint;
    left_behind bigint;
    passes integer := 0;
begin
    loop
        at_session_id := '';
        left_behind := 0;
        while at_session_id is not null loop
            select r.after_session_id, left_behind + r.skipped
            into at_session_id, left_behind
            from sessions_refresh_search(at_session_id, 2000) as r;
            commit;
        end loop;
        exit when left_behind = 0;
        if passes = 600 then
            raise exception '% rows stayed locked by others: apply it again later', left_behind;
        end if;
        passes := passes + 1;
        perform pg_sleep(0.1);
    end loop;

    loop
        at_session_id := '';
        at_seq := 0;
        left_behind := 0;
        while at_session_id is not null loop
            select r.after_session_id, r.after_seq, left_behind + r.skipped
            into at_session_id, at_seq, left_behind
            from messages_refresh_search(at_session_id, at_seq, 2000) as r;
            commit;
        end loop;
        exit when left_behind = 0;
        if passes = 600 then
            raise exception '% rows stayed locked by others: apply it again later', left_behind;
        end if;
        passes := passes + 1;
        perform pg_sleep(0.1);
    end loop;
end
$$;
