-- depends: 0074-functions-comment
-- The number of all messages of a session; `message_count` counts those of role user. Every statement that adds messages adds to it
-- under the lock of the session's row, and so do the triggers for rows that somebody inserts by hand.
set local lock_timeout = '5s';

alter table sessions add column messages_total bigint not null default 0;

create or replace function take_number_by_hand() returns trigger language plpgsql as $$
begin
    if new.seq is null then
        update sessions
        set
            last_seq = last_seq + 1,
            message_count = message_count + (coalesce(to_jsonb(new) #>> '{message,role}', '') = 'user')::integer,
            messages_total = messages_total + (tg_table_name = 'messages')::integer,
            updated_at = clock_timestamp()
        where session_id = new.session_id
        returning last_seq into new.seq;
    else
        perform from sessions where session_id = new.session_id for no key update;
    end if;
    return new;
end
$$;

create or replace function advance_clock_by_hand() returns trigger language plpgsql as $$
begin
    update sessions as s
    set
        last_seq = a.last_seq,
        message_count = s.message_count + a.from_users,
        messages_total = s.messages_total + case when tg_table_name = 'messages' then a.added else 0 end,
        updated_at = clock_timestamp()
    from (
        select
            n.session_id,
            max(n.seq) as last_seq,
            count(*) as added,
            count(*) filter (where to_jsonb(n) ->> 'role' = 'user') as from_users
        from added as n
        inner join sessions as before on before.session_id = n.session_id and before.last_seq < n.seq
        group by n.session_id
    ) as a
    where s.session_id = a.session_id;
    return null;
end
$$;

comment on column sessions.messages_total is 'Number of messages of any role';
