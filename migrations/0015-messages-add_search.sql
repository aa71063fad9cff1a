-- depends: 0014-sessions-add_search
-- Search, second part: the words of messages. They derive from `message` in the same statement that stores it, so nothing
-- can drift. Every dialect that agents write is read. Arrays are unpacked from jsonb_path_query_array: jsonb_path_query itself takes
-- time with the square of what it finds.
set local lock_timeout = '5s';

-- A JSON string as text; null for anything else.
create function json_string(value jsonb) returns text
language sql immutable parallel safe
return case when jsonb_typeof(value) = 'string' then value #>> '{}' end;

-- The strings and numbers in a JSON value, without its keys.
create function json_values(value jsonb) returns text
language sql immutable parallel safe
return (
    select string_agg(scalar, ' ')
    from jsonb_array_elements_text(
        jsonb_path_query_array(value, 'strict $.** ? (@.type() == "string" || @.type() == "number")')
    ) as scalar
);

-- The same, but of a list of blocks (`[{"type": "text", "text": ...}]`) only their text, without internal ones.
create function json_texts(value jsonb) returns text
language sql immutable parallel safe
return json_values(
    case
        when value @? '$[*] ? (@.type() == "object" && @.text.type() == "string")'
            then jsonb_path_query_array(value, '$[*] ? (@.type() == "string")')
            || jsonb_path_query_array(value, '$[*] ? (@.type() == "object" && !(@.visibility == "internal")).text')
        else value
    end
);

-- The strings and numbers in JSON written as text; null for other text. Numbers with exponents of three digits would
-- become as many digits, and what is nested too deeply would be an error: such text is no JSON here.
create function json_text_values(value text) returns text
language plpgsql immutable strict as $$
begin
    if length(value) > 1000000 or value !~ '^\s*[[{]' or value ~ '[\s:,[][-.0-9]+[eE][+-]?[0-9]{3}' then
        return null;
    end if;
    return coalesce(json_values(value::jsonb), '');
exception
    when data_exception or program_limit_exceeded or statement_too_complex then
        return null;
end
$$;

-- A message's text: what was said, what tools were called with (their names first), what they returned, and what was
-- thought. Blocks marked as internal are in none of them.
create function message_texts(message jsonb)
returns table (said text, called text, returned text, thought text)
language sql immutable as $$
    with blocks as (
        select
            block,
            block ->> 'type' as type
        from jsonb_array_elements(jsonb_path_query_array(message, '$.content[*] ? (@.type() == "object")')) as block
        where block ->> 'visibility' is distinct from 'internal'
    ),

    spoken as (
        select json_string(message -> 'content') as text
        union all
        select json_string(block -> 'text')
        from blocks
        where type in ('text', 'input_text', 'output_text')
    ),

    calls as (
        select
            coalesce(
                json_string(call #> '{function,name}'), json_string(call -> 'tool'), json_string(call -> 'name')
            ) as name,
            coalesce(
                nullif(call #> '{function,arguments}', 'null'), nullif(call -> 'arguments', 'null'), call -> 'input'
            ) as arguments
        from (
            select call
            from jsonb_array_elements(
                jsonb_path_query_array(message, '$.tool_calls[*] ? (@.type() == "object")')
            ) as call
            union all
            select block
            from blocks
            where type in ('tool_call', 'tool_use')
        ) as calls
    ),

    results as (
        select text as result
        from spoken
        where message ->> 'role' in ('tool', 'function') or message ->> 'tool_call_id' is not null
        union all
        select coalesce(json_string(output), json_texts(output))
        from (
            select coalesce(nullif(block -> 'output', 'null'), block -> 'content') as output
            from blocks
            where type = 'tool_result'
        ) as outputs
    )

    select
        (
            select string_agg(text, E'\n')
            from spoken
            where not (message ->> 'role' in ('tool', 'function') or message ->> 'tool_call_id' is not null)
        ),
        (
            select string_agg(
                concat_ws(' ', name, coalesce(json_text_values(json_string(arguments)), json_values(arguments))), E'\n'
            )
            from calls
        ),
        (
            select string_agg(coalesce(json_text_values(result), result), E'\n')
            from results
        ),
        nullif(
            concat_ws(
                E'\n',
                json_string(message -> 'thinking_text'),
                case
                    when message #>> '{thinking_block,visibility}' is distinct from 'internal'
                        then json_string(message #> '{thinking_block,thinking}')
                end,
                (
                    select string_agg(
                        concat_ws(
                            E'\n',
                            json_string(block -> 'thinking'),
                            json_string(block -> 'text'),
                            json_texts(block -> 'content'),
                            json_texts(block -> 'summary')
                        ),
                        E'\n'
                    )
                    from blocks
                    where type in ('thinking', 'reasoning')
                )
            ),
            ''
        )
$$;

-- The words of a message, weighted: A said, B tools called, C returned, D thought. The first 100,000 characters count: with
-- more, a tsvector could exceed its limit of 1 MB, and the message could not be stored.
create function message_search(message jsonb, language regconfig) returns tsvector
language sql immutable as $$
    select
        case when said is null then '' else setweight(to_tsvector(language, search_plain(left(said, 100000))), 'A') end
        || case
            when called is null then ''
            else setweight(
                to_tsvector(language, search_plain(left(called, greatest(100000 - length(concat(said)), 0)))), 'B'
            )
        end
        || case
            when returned is null then ''
            else setweight(
                to_tsvector(
                    language, search_plain(left(returned, greatest(100000 - length(concat(said, called)), 0)))
                ),
                'C'
            )
        end
        || case
            when thought is null then ''
            else setweight(
                to_tsvector(
                    language, search_plain(left(thought, greatest(100000 - length(concat(said, called, returned)), 0)))
                ),
                'D'
            )
        end
    from message_texts(message)
$$;

-- The names of the tools that a message calls.
create function message_tools(message jsonb) returns text[]
language sql immutable
return array(
    select coalesce(json_string(call #> '{function,name}'), json_string(call -> 'tool'), json_string(call -> 'name'))
    from jsonb_array_elements(
        jsonb_path_query_array(message, '$.tool_calls[*] ? (@.type() == "object")')
        || jsonb_path_query_array(
            message, '$.content[*] ? ((@.type == "tool_call" || @.type == "tool_use") && !(@.visibility == "internal"))'
        )
    ) as call
);

alter table messages
add column search tsvector,
add column search_truncated boolean not null default false,
add column search_revision text;

create function messages_set_search() returns trigger language plpgsql as $$
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

-- Setting `search_revision` to null has a row indexed again.
create trigger messages_set_search
before insert or update of message, search_revision on messages
for each row execute function messages_set_search();

-- How many messages match, by the planner's statistics: what a search looks at first depends on it.
create function search_estimate(query tsquery) returns bigint
language plpgsql as $$
declare
    plan json;
begin
    execute format('explain (format json) select from messages where search @@ %L::tsquery', query) into plan;
    return (plan #>> '{0,Plan,Plan Rows}')::bigint;
end
$$;

-- The same as sessions_refresh_search, for messages; a position is a session and a number. Half a megabyte of messages at most
-- (or one), so that whoever deletes a session does not wait for long.
create function messages_refresh_search(
    inout after_session_id text,
    inout after_seq bigint,
    most bigint,
    out scanned bigint,
    out refreshed bigint,
    out skipped bigint
) language plpgsql as $$
begin
    with sized as (
        select
            m.session_id,
            m.seq,
            m.search_revision is distinct from search_revision(
                coalesce(search_language(s.search_language), search_default_language())
            ) as is_stale,
            sum(m.size) over w as bytes,
            row_number() over w as number
        from (
            select *
            from messages
            where (session_id, seq) > (after_session_id, after_seq)
            order by
                session_id,
                seq
            limit most
        ) as m
        inner join sessions as s on s.session_id = m.session_id
        window w as (order by m.session_id, m.seq)
    ),

    next as materialized (
        select
            session_id,
            seq,
            is_stale
        from sized
        where
            bytes <= 500000
            or number = 1
    ),

    locked as (
        select
            m.session_id,
            m.seq
        from messages as m
        inner join next as n on n.session_id = m.session_id and n.seq = m.seq
        where n.is_stale
        for no key update of m skip locked
    ),

    refreshed_messages as (
        update messages as m
        set search_revision = null
        from locked as l
        where
            m.session_id = l.session_id
            and m.seq = l.seq
        returning m.seq
    )

    select
        (select session_id from next order by session_id desc, seq desc limit 1),
        (select seq from next order by session_id desc, seq desc limit 1),
        count(*),
        (select count(*) from refreshed_messages),
        count(*) filter (where is_stale) - (select count(*) from refreshed_messages)
    into after_session_id, after_seq, scanned, refreshed, skipped
    from next;
end
$$;
