-- Messages that the earlier constraint refuses are deleted.
set local lock_timeout = '5s';

comment on column messages.message is 'The message as the client or the agent sent it, a JSON object of at most 16 MB with `role` and usually `content`';

alter table messages drop constraint messages_message_role_check;

-- it depends on the column
create or replace function count_unread(session text, reader text, last_read_seq bigint) returns integer
language sql stable parallel safe
return 0;

alter table messages drop column role;

-- allow rows: there are few such messages, and the statement below rewrites the table
delete from messages
where message ->> 'role' is null or message ->> 'role' not in ('system', 'developer', 'user', 'assistant', 'function', 'tool');

-- allow adding-field-with-default: the column was a generated one
alter table messages add column role text generated always as (message ->> 'role') stored;

-- allow constraint-missing-not-valid: the table is locked by the statement above
alter table messages
add constraint messages_role_check
check (role is not null and role in ('system', 'developer', 'user', 'assistant', 'function', 'tool'));

create or replace function count_unread(session text, reader text, last_read_seq bigint) returns integer
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

comment on column messages.role is 'Role in the message, derived: system, developer, user, assistant, function or tool';

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

create or replace function messages_set_search() returns trigger language plpgsql as $$
declare
    language text := coalesce(
        (
            select search_language(s.search_language)
            from sessions as s
            where
                s.session_id = new.session_id
                and s.search_language is not null
        ),
        search_default_language()
    );
    written text := new.message::text;
begin
    if tg_op = 'INSERT' and new.search is not null and new.search_revision = search_revision(language) then
        return new;  -- copied from a message that is indexed the same way
    end if;
    new.search := message_search(new.message, language::regconfig);
    -- what exceeds the first 100,000 characters, and words of more than 2,046 bytes, are in no tsvector
    new.search_truncated := (octet_length(written) > 100000 or written ~ '\S{255}\S{255}') and exists (
        select
        from message_texts(new.message) as t
        cross join lateral concat_ws(' ', t.said, t.called, t.returned, t.thought) as text
        where
            length(concat(t.said, t.called, t.returned, t.thought)) > 100000
            or exists (
                select
                from ts_parse('default', search_plain(left(text, 100003)))
                where
                    tokid <> 12
                    and octet_length(token) > 2046
            )
    );
    new.search_revision := search_revision(language);
    return new;
end
$$;

comment on function messages_set_search is 'Trigger: derives `search`, `search_truncated` and `search_revision` from a message';

drop function message_role;
