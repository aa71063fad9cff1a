set local lock_timeout = '5s';

create or replace function search_revision(language text) returns text
language sql immutable parallel safe
return language || '/2';

create or replace function message_role(message jsonb) returns text language sql immutable parallel safe
return
    case
        when
            message ->> 'role' in ('system', 'developer', 'user', 'assistant', 'function', 'tool')
            then message ->> 'role'
        when message ->> 'role' in ('model', 'agent', 'ai', 'bot') then 'assistant'
        when message ->> 'role' is not null then 'user'
    end;

create or replace function json_values(value jsonb) returns text
language sql immutable parallel safe
return (
    select string_agg(scalar, ' ')
    from jsonb_array_elements_text(
        jsonb_path_query_array(value, 'strict $.** ? (@.type() == "string" || @.type() == "number")')
    ) as scalar
);

create or replace function json_texts(value jsonb) returns text
language sql immutable parallel safe
return json_values(
    case
        when value @? '$[*] ? (@.type() == "object" && @.text.type() == "string")'
            then jsonb_path_query_array(value, '$[*] ? (@.type() == "string")')
            || jsonb_path_query_array(value, '$[*] ? (@.type() == "object" && !(@.visibility == "internal")).text')
        else value
    end
);

create or replace function message_texts(message jsonb)
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

create or replace function message_tools(message jsonb) returns text[]
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

drop function plain_texts;

drop function message_parts;

drop function call_parts;

drop function message_named_role;

drop function message_inner;

drop function content_parts;

drop function result_text;

drop function output_text;

drop function json_id;

drop function arguments_text;

drop function call_part;

drop function media_text;

drop function thinking_text;

drop function json_shown;

drop function json_unknown;

drop function json_is_vast;

drop function json_unsealed;

drop function json_given;

drop function json_first;

comment on function json_texts is 'Returns the strings and numbers in a JSON value; of content blocks only their text, without internal blocks';

comment on function json_values is 'Returns the strings and numbers in a JSON value, without its keys';

comment on function message_role is 'Returns the role of a message for filters and counts: system, developer, user, assistant, function or tool; null if the message has none';
