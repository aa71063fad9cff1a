-- depends: 0077-sessions-fill_messages_total
-- A message is any JSON object, with any role of 1 to 64 characters or none. The column `role` holds the role that filters and
-- counts use, which `message_role` derives from the message. A generated column cannot be given another expression before
-- PostgreSQL 17, and not without a rewrite of the table: the trigger that derives the search entry fills it instead.
set local lock_timeout = '5s';

create function message_role(message jsonb) returns text language sql immutable parallel safe
return
    case
        when
            message ->> 'role' in ('system', 'developer', 'user', 'assistant', 'function', 'tool')
            then message ->> 'role'
        when message ->> 'role' in ('model', 'agent', 'ai', 'bot') then 'assistant'
        when message ->> 'role' is not null then 'user'
    end;

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
    new.role := message_role(new.message);
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

create or replace function take_number_by_hand() returns trigger language plpgsql as $$
begin
    if new.seq is null then
        update sessions
        set
            last_seq = last_seq + 1,
            message_count = message_count + (coalesce(to_jsonb(new) ->> 'role', '') = 'user')::integer,
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

-- allow ban-drop-generated-expression: the trigger above fills the column, also for rows of the previous release
alter table messages alter column role drop expression;

-- allow ban-drop-constraint: the statement below adds a wider one of the same name
alter table messages drop constraint messages_role_check;

alter table messages
add constraint messages_role_check
check (role in ('system', 'developer', 'user', 'assistant', 'function', 'tool')) not valid,
add constraint messages_message_role_check
check (
    case
        when jsonb_typeof(message -> 'role') = 'string' then length(message ->> 'role') between 1 and 64
        else message ->> 'role' is null
    end
) not valid;

comment on function message_role is 'Returns the role of a message for filters and counts: system, developer, user, assistant, function or tool; null if the message has none';
comment on function messages_set_search is 'Trigger: derives `role`, `search`, `search_truncated` and `search_revision` from a message';
comment on column messages.message is 'The message as the client or the agent sent it, a JSON object of at most 16 MB, usually with `role` and `content`';
comment on column messages.role is 'Role that a trigger derives from the message: system, developer, user, assistant, function or tool; null if the message has none';
