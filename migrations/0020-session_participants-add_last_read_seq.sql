-- depends: 0019-sessions-index_search_language
-- Read markers: up to where each participant has read. No constraint, which would read the whole table; whoever sets it keeps it
-- between what it was and the session's clock.
set local lock_timeout = '5s';

alter table session_participants
add column last_read_seq bigint not null default 0;

-- How many messages behind the marker wait for a participant, at most 100 (which means 100 or more): cheap also where nobody
-- ever marks. What somebody wrote as a user is read; what an agent wrote in their name is not.
create function count_unread(session text, reader text, last_read_seq bigint) returns integer
language sql stable parallel safe
return (
    select count(*)
    from (
        select
        from messages as m
        where
            m.session_id = session
            and m.seq > count_unread.last_read_seq
            and (m.role <> 'user' or m.author_user_id <> reader)
        limit 100
    ) as unread
);
