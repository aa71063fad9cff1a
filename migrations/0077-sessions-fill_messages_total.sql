-- depends: 0076-messages-count_for_earlier_release
-- transactional: false
-- Counts the messages of the sessions that exist, a hundred sessions in each transaction, while the service goes on. A session's row is
-- locked before its messages are counted, so that no message is added in between. It may be interrupted and run again.
do $$
declare
    at_session_id text := '';
    locked_ids text[];
begin
    loop
        with locked_sessions as (
            select session_id
            from sessions
            where session_id > at_session_id
            order by session_id
            limit 100
            for no key update
        )

        select max(session_id), array_agg(session_id)
        into at_session_id, locked_ids
        from locked_sessions;

        exit when locked_ids is null;

        update sessions as s
        set messages_total = m.total
        from (
            select
                session_id,
                count(*) as total
            from messages
            where session_id = any(locked_ids)
            group by session_id
        ) as m
        where
            s.session_id = m.session_id
            and s.messages_total <> m.total;

        commit;
    end loop;
end
$$;
