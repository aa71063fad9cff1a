set local lock_timeout = '5s';

create or replace function message_tools(message jsonb) returns text[]
language plpgsql immutable as $$
declare
    inner_message jsonb;
    role text;
begin
    if
        message ->> 'role' in ('system', 'developer', 'user', 'assistant', 'function', 'tool')
        and message - '{role,content,tool_calls,tool_call_id,name,id,metadata,timestamp}'::text[] = '{}'
        and coalesce(jsonb_typeof(message -> 'content'), 'null') in ('string', 'null')
        and not (message ? 'tool_calls' and (message ? 'tool_call_id' or message ->> 'role' in ('function', 'tool')))
    then
        if jsonb_typeof(message -> 'tool_calls') is distinct from 'array' then
            return '{}';
        end if;
        return array(
            select p.name
            from jsonb_array_elements(message -> 'tool_calls') as call
            cross join lateral call_part(call, '{id}') as p
            where p.kind = 'called'
        );
    elsif message @? '$.**{64}' then
        return '{}';
    end if;
    inner_message := message_inner(message);
    role := message_named_role(inner_message);
    if message @? 'strict $.** ? (@.visibility == "internal")' then
        inner_message := json_shown(inner_message);
    end if;
    return array(
        select p.name
        from message_parts(inner_message, role) as p
        where
            p.kind = 'called'
            and role is not null
    );
end
$$;

create or replace function message_texts(message jsonb)
returns table (said text, called text, returned text, thought text)
language plpgsql immutable as $$
declare
    data_address constant text := 'data:[^;,\s]*;base64,[A-Za-z0-9+/=_-]*';
    role text := message ->> 'role';
    content jsonb := message -> 'content';
    is_read boolean := false;
    plain record;
    has_plain boolean := true;
    inner_message jsonb;
begin
    if
        role in ('system', 'developer', 'user', 'assistant', 'function', 'tool')
        and message - '{role,content,tool_calls,tool_call_id,name,id,metadata,timestamp}'::text[] = '{}'
    then
        if role in ('tool', 'function') then
            is_read := jsonb_typeof(content) = 'string';
            if is_read then
                returned := nullif(content #>> '{}', '');
                returned := coalesce(json_text_values(returned), returned);
            end if;
        elsif not message ? 'tool_call_id' then
            if jsonb_typeof(content) = 'array' and not message ? 'tool_calls' then
                plain := plain_texts(content, false);
            elsif coalesce(jsonb_typeof(content), 'null') in ('string', 'null') then
                plain := plain_texts(message -> 'tool_calls', true);
                plain.said := nullif(content #>> '{}', '');
            else
                has_plain := false;
            end if;
            if has_plain then
                is_read := plain.is_plain;
                said := plain.said;
                called := plain.called;
                returned := plain.returned;
                thought := plain.thought;
            end if;
        end if;
    end if;
    if not is_read and not message @? '$.**{64}' then
        inner_message := message_inner(message);
        role := message_named_role(inner_message);
        if role is null then
            said := case when message <> '{}' then json_unknown(message) end;
        else
            if message @? 'strict $.** ? (@.visibility == "internal")' then
                inner_message := json_shown(inner_message);
            end if;
            select
                string_agg(p.words, E'\n') filter (
                    where p.kind in ('said', 'unknown') and role not in ('tool', 'function')
                ),
                string_agg(p.words, E'\n') filter (where p.kind = 'called'),
                string_agg(p.words, E'\n') filter (
                    where p.kind = 'returned' or p.kind in ('said', 'unknown') and role in ('tool', 'function')
                ),
                nullif(string_agg(p.words, E'\n') filter (where p.kind = 'thought'), '')
            into said, called, returned, thought
            from message_parts(inner_message, role) as p;
        end if;
    end if;
    if strpos(said, ';base64,') > 0 then
        said := regexp_replace(said, data_address, ' ', 'g');
    end if;
    if strpos(called, ';base64,') > 0 then
        called := regexp_replace(called, data_address, ' ', 'g');
    end if;
    if strpos(returned, ';base64,') > 0 then
        returned := regexp_replace(returned, data_address, ' ', 'g');
    end if;
    if strpos(thought, ';base64,') > 0 then
        thought := regexp_replace(thought, data_address, ' ', 'g');
    end if;
    return next;
end
$$;
