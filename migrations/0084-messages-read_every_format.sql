-- depends: 0083-messages-search_every_script
-- Reads the role and the texts of messages in every format, as `amplifier/transcripts/reader.py` does: the functions below have the
-- names and branches of its functions, and the tests run one table of examples through both. A message in the plain form of OpenAI's
-- chat or of Amplifier takes a short way. Lists are read with one statement each, so that the time is linear in the message; messages
-- nested more deeply than the table allows are not read.
set local lock_timeout = '5s';

create or replace function search_revision(language text) returns text
language sql immutable parallel safe
return language || '/3';

-- The strings and numbers in a JSON value, without its keys and without long base64.
create or replace function json_values(value jsonb) returns text
language sql immutable parallel safe
return (
    select string_agg(scalar, ' ')
    from jsonb_array_elements_text(
        jsonb_path_query_array(value, 'strict $.** ? (@.type() == "string" || @.type() == "number")')
    ) as scalar
    where
        length(scalar) < 500
        or left(scalar, 500) !~ '^[A-Za-z0-9+/_=-]+$'
);

-- A text, or the texts in a list of texts and blocks, a line each; empty if there is none.
create or replace function json_texts(value jsonb) returns text
language plpgsql immutable parallel safe as $$
begin
    case jsonb_typeof(value)
        when 'string' then
            return value #>> '{}';
        when 'object' then
            return json_texts(
                case
                    when value ? 'text' then value -> 'text'
                    when value ? 'thinking' then value -> 'thinking'
                    else value -> 'value'
                end
            );
        when 'array' then
            return coalesce(
                (select string_agg(nullif(json_texts(item), ''), E'\n') from jsonb_array_elements(value) as item), ''
            );
        else
            return '';
    end case;
end
$$;

-- The first text that is not empty under one of the keys, in the first of the objects that has one.
create function json_first(objects jsonb, keys text[]) returns text
language plpgsql immutable parallel safe as $$
declare
    object jsonb;
    key text;
    value jsonb;
begin
    for number in 0 .. jsonb_array_length(objects) - 1 loop
        object := objects -> number;
        foreach key in array keys loop
            value := object -> key;
            if jsonb_typeof(value) = 'string' and value <> '""' then
                return value #>> '{}';
            end if;
        end loop;
    end loop;
    return null;
end
$$;

-- The value of the first of the keys that is neither missing nor null.
create function json_given(object jsonb, keys text[]) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    key text;
begin
    foreach key in array keys loop
        if jsonb_typeof(object -> key) <> 'null' then
            return object -> key;
        end if;
    end loop;
    return null;
end
$$;

-- The same value without what only its provider can read.
create function json_unsealed(value jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    return case jsonb_typeof(value)
        when 'array' then (select jsonb_agg(json_unsealed(item)) from jsonb_array_elements(value) as item)
        when 'object' then (
            select jsonb_object_agg(key, json_unsealed(item))
            from jsonb_each(value) as e (key, item)
            where key not in ('encrypted_content', 'encrypted_index', 'signature', 'thoughtSignature', 'thought_signature')
        )
        else value
    end;
end
$$;

-- The words of a value of no known format.
create function json_unknown(value jsonb) returns text
language plpgsql immutable parallel safe as $$
begin
    if jsonb_typeof(value) in ('object', 'array') and value::text ~ '"(?:encrypted_|signature|thought_?[sS]ignature)' then
        return json_values(json_unsealed(value));
    end if;
    return json_values(value);
end
$$;

-- Whether a value has so many values that no blocks are looked for in it: each takes up to 0.1 ms. A comma and a space part two values
-- as PostgreSQL writes JSON; those in texts count, too.
create function json_is_vast(value jsonb) returns boolean
language sql immutable parallel safe
return (
    select octet_length(text) > 100000 and octet_length(text) - octet_length(replace(text, ', ', '')) > 40000
    from cast(value as text) as text
);

-- The same message without blocks that are marked as internal.
create function json_shown(value jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    -- `visibility` means other things in what tools return
    hidden constant jsonpath := '$ ? (@.visibility == "internal"
        && (exists (@.type) || exists (@.text) || exists (@.thinking) || exists (@.content)))';
begin
    return case jsonb_typeof(value)
        when 'array' then (
            select coalesce(jsonb_agg(json_shown(item)), '[]')
            from jsonb_array_elements(value) as item
            where jsonb_typeof(item) <> 'object' or not item @? hidden
        )
        when 'object' then (
            select coalesce(jsonb_object_agg(key, json_shown(item)), '{}')
            from jsonb_each(value) as e (key, item)
            where jsonb_typeof(item) <> 'object' or not item @? hidden
        )
        else value
    end;
end
$$;

-- What was thought, from a text, a list of them, or a block of any provider: null if that is nothing, empty if it is sealed.
create function thinking_text(value jsonb) returns text
language plpgsql immutable parallel safe as $$
declare
    inner_value jsonb := json_given(value, '{reasoningText}');
    found text;
begin
    if jsonb_typeof(value) <> 'object' then
        return nullif(json_texts(value), '');
    end if;
    if inner_value is not null then
        found := json_texts(inner_value);
    else
        found := json_texts(value -> 'thinking');
        if found = '' then
            found := concat_ws(
                E'\n',
                nullif(json_texts(value -> 'reasoning'), ''),
                nullif(json_texts(value -> 'text'), ''),
                nullif(json_texts(value -> 'content'), ''),
                nullif(json_texts(value -> 'summary'), '')
            );
        end if;
    end if;
    if
        found <> ''
        or json_first(jsonb_build_array(value), '{encrypted_content,data,redactedContent}') is not null
        or json_first(
            jsonb_build_array(coalesce(inner_value, value)), '{signature,thoughtSignature,thought_signature}'
        ) is not null
    then
        return found;
    end if;
    return null;
end
$$;

-- What is searched of an image, a file or a recording: a file's name and text, what is said in a recording. `is_found` is false if
-- the block has neither an address nor content.
create function media_text(block jsonb, kind text, out is_found boolean, out words text)
language plpgsql immutable parallel safe as $$
declare
    sources constant text[] := '{source,file,image_url,input_audio,audio,inlineData,inline_data,fileData,file_data,image,document,
        video,resource,s3Location}';
    levels jsonb := jsonb_build_array(block);
    source jsonb := block;
    key text;
    address text;
    data text;
    media_type text;
begin
    loop
        source := null;
        foreach key in array sources loop
            if jsonb_typeof(levels -> 0 -> key) = 'object' then
                source := levels -> 0 -> key;
                exit;
            end if;
        end loop;
        exit when source is null or source = '{}';
        levels := jsonb_build_array(source) || levels;
    end loop;
    source := levels -> 0;
    address := json_first(
        levels, '{url,uri,fileUri,file_uri,image_url,file_url,document_url,audio_url,image,file,source}'
    );
    data := json_first(levels, '{data,bytes,base64,file_data,raw,input_audio}');
    is_found := address is not null or data is not null;
    if kind = 'image' then
        is_found := is_found or json_first(levels, '{file_id}') is not null;
        return;
    end if;
    if kind = 'audio' then
        words := json_first(levels, '{transcript}');
        is_found := is_found or words is not null;
        return;
    end if;
    media_type := coalesce(
        json_first(levels, '{media_type,mediaType,mimeType,mime_type,mime}'),
        case when json_first(levels, '{format}') in ('pdf', 'csv', 'html', 'txt') then 'application/octet-stream' end,
        substring(
            case when data ~ '^(?:data:|https?://)' then data else address end
            from '(?i)^data:([^;,]*)[^,]*?;base64,'
        )
    );
    if starts_with(media_type, 'audio/') then
        return;
    end if;
    is_found := is_found or json_first(levels, '{file_id}') is not null;
    if starts_with(media_type, 'image/') then
        return;
    end if;
    words := case
        when jsonb_typeof(source -> 'text') = 'string' then source ->> 'text'
        when source -> 'type' = '"text"' then case when data !~ '^(?:data:|https?://)' then data end
        when jsonb_typeof(source -> 'content') = 'string' then source ->> 'content'
        else (
            select string_agg(item ->> 'text', E'\n')
            from jsonb_array_elements(
                case when jsonb_typeof(source -> 'content') = 'array' then source -> 'content' else '[]' end
            ) as item
            where jsonb_typeof(item -> 'text') = 'string'
        )
    end;
    is_found := is_found or words <> '';
    words := concat_ws(
        E'\n',
        json_first(levels, '{name,filename,fileName,document_name,title,display_name,displayName}'),
        words
    );
end
$$;

-- A tool call: what it is found by, or, if it has no name, an unknown value.
create function call_part(
    call jsonb, ids text[], out kind text, out id text, out name text, out words text
)
language plpgsql immutable parallel safe as $$
declare
    names constant text[] := '{tool,name,tool_name,toolName}';
    arguments constant text[] := '{arguments,input,args,action,operation}';
    details jsonb := case
        when jsonb_typeof(call -> 'function') = 'object' then call -> 'function'
        when jsonb_typeof(call -> 'custom') = 'object' then call -> 'custom'
        else '{}'
    end;
    given jsonb;
begin
    kind := 'called';
    id := json_id(call, ids);
    name := coalesce(
        json_first(jsonb_build_array(call, details), names),
        case when call -> 'type' = '"tool_search_call"' then 'tool_search_call' end
    );
    if name is null then
        kind := 'unknown';
        words := json_unknown(call);
    else
        given := coalesce(json_given(call, arguments), json_given(details, arguments));
        words := concat_ws(' ', name, arguments_text(given));
    end if;
end
$$;

-- The values of a call's arguments, which are an object or JSON text.
create function arguments_text(given jsonb) returns text
language plpgsql immutable parallel safe as $$
begin
    if jsonb_typeof(given) = 'string' then
        return coalesce(json_text_values(given #>> '{}'), given #>> '{}');
    end if;
    return json_values(given);
end
$$;

-- The id of a call under one of the keys, a text or a number.
create function json_id(object jsonb, keys text[]) returns text
language plpgsql immutable parallel safe as $$
declare
    key text;
begin
    foreach key in array keys loop
        if jsonb_typeof(object -> key) in ('string', 'number') and object -> key <> '""' then
            return object ->> key;
        end if;
    end loop;
    return null;
end
$$;

-- What a tool returned: a text, blocks, or any JSON. Data may look like calls and other blocks: it stays whole.
create function output_text(value jsonb) returns text
language plpgsql immutable parallel safe as $$
begin
    if jsonb_typeof(value) = 'string' then
        return coalesce(json_text_values(value #>> '{}'), value #>> '{}');
    elsif jsonb_typeof(value) = 'object' and value ? 'value'
        and value -> 'type' in ('"text"', '"json"', '"content"', '"error-text"', '"error-json"')
    then
        return output_text(value -> 'value');
    elsif jsonb_typeof(value) in ('object', 'array') then
        return (
            select
                case
                    when coalesce(bool_or(kind in ('called', 'returned')) or bool_and(kind = 'unknown'), true)
                        then json_unknown(value)
                    else string_agg(
                        case when kind = 'unknown' then words else coalesce(json_text_values(words), words) end, E'\n'
                    )
                end
            from content_parts(value)
        );
    end if;
    return json_values(value);
end
$$;

-- What a tool returned, under the first of the names that formats have for it.
create function result_text(result jsonb) returns text
language plpgsql immutable parallel safe as $$
begin
    return output_text(
        json_given(result, '{output,content,result,response,outputs,results,tools,error,errorText}')
    );
end
$$;

-- The parts of content, which is a text, a list, or a block that says what it is by its type or by its members. `kind` is said,
-- called, returned, thought or unknown.
create function content_parts(block jsonb)
returns table (kind text, id text, name text, words text)
language plpgsql immutable parallel safe as $$
declare
    type text;
    call_ids constant text[] := '{id,call_id,tool_call_id,toolCallId,tool_use_id,toolUseId,callID}';
    -- members that a block with nothing but a text may have, too
    aside constant text[] := '{text,type,kind,annotations,citations,cache_control,metadata,id,logprobs,role,thoughtSignature,
        thought_signature,state,providerMetadata,visibility,index}';
    members constant text[] := '{inlineData,inline_data,fileData,file_data,image,document,video,guardContent,citationsContent,
        cachePoint,reasoningContent,executableCode,json,functionCall,function_call,toolUse,tool_call,functionResponse,
        function_response,toolResult,tool_call_result,codeExecutionResult}';
    state jsonb;
    value jsonb;
    media text;
    is_there boolean;
    key text;
begin
    if jsonb_typeof(block) = 'array' then
        return query
        select p.*
        from jsonb_array_elements(block) as item
        cross join lateral content_parts(item) as p;
        return;
    elsif jsonb_typeof(block) = 'string' then
        if block <> '""' then
            kind := 'said';
            words := block #>> '{}';
            return next;
        end if;
        return;
    elsif jsonb_typeof(block) <> 'object' then
        if jsonb_typeof(block) <> 'null' then
            kind := 'unknown';
            words := json_values(block);
            return next;
        end if;
        return;
    elsif block is null then
        return;
    end if;

    type := json_string(
        case
            when block ? 'type' then block -> 'type'
            when block ? 'part_kind' then block -> 'part_kind'
            when block ? 'kind' then block -> 'kind'
            when block ? 'block_type' then block -> 'block_type'
            else block -> 'content_type'
        end
    );
    if type in ('text', 'input_text', 'output_text', 'summary_text', 'user-prompt', 'system-prompt') then
        value := case when block ? 'text' then block -> 'text' else block -> 'content' end;
        if block -> 'thought' = 'true' then
            kind := 'thought';
            words := thinking_text(block);
            is_there := words is not null;
        elsif jsonb_typeof(value) = 'array' then
            return query select * from content_parts(value);
            return;
        elsif jsonb_typeof(value) in ('string', 'object') then
            kind := 'said';
            words := json_texts(value);
            is_there := words <> '';
        elsif jsonb_typeof(value) <> 'null' then
            kind := 'unknown';
            words := json_unknown(block);
            is_there := true;
        end if;
        if is_there then
            return next;
        end if;
        return;
    elsif type in (
        'thinking', 'reasoning', 'redacted_thinking', 'reasoning_text', 'thinking_delta',
        'reasoning.text', 'reasoning.summary', 'reasoning.encrypted'
    ) then
        value := block;
    elsif type = 'compaction' then
        if jsonb_typeof(block -> 'content') = 'string' and block -> 'content' <> '""' then
            kind := 'said';
            words := block ->> 'content';
            return next;
            return;
        end if;
        value := block;
    elsif type = 'refusal' then
        kind := 'said';
        words := nullif(json_string(block -> 'refusal'), '');
        if words is not null then
            return next;
        end if;
        return;
    elsif type in ('image', 'image_url', 'image-url', 'input_image', 'computer_screenshot') then
        media := 'image';
    elsif type in (
        'file', 'document', 'input_file', 'document_url', 'search_result', 'container_upload', 'source-url', 'source',
        'source-document', 'resource', 'resource_link', 'video', 'binary', 'document-url', 'video-url', 'web_search_result'
    ) then
        media := 'file';
    elsif type in ('audio', 'input_audio', 'output_audio', 'audio-url', 'audio_url') then
        media := 'audio';
    elsif type = 'data' then
        kind := 'unknown';
        words := json_unknown(case when block ? 'data' then block -> 'data' else block end);
        return next;
        return;
    elsif type in (
        'step-start', 'step-finish', 'step_start', 'step_finish', 'start', 'finish', 'snapshot', 'cachePoint', 'fallback'
    ) then
        return;
    elsif type in (
        'tool_call', 'tool_use', 'tool-call', 'toolCall', 'function_call', 'custom_tool_call', 'function', 'custom',
        'server_tool_use', 'mcp_tool_use', 'mcp_call', 'tool_search_call', 'builtin-tool-call'
    ) then
        select p.kind, p.id, p.name, p.words
        into kind, id, name, words
        from call_part(
            block,
            case
                when type in ('function_call', 'custom_tool_call', 'tool_search_call') then '{call_id,id}'
                else call_ids
            end
        ) as p;
        return next;
        if type = 'mcp_call' and json_given(block, '{output,outputs,result,results,error,errorText}') is not null then
            kind := 'returned';
            words := result_text(block);
            return next;
        end if;
        return;
    elsif
        type in (
            'tool_result', 'tool-result', 'tool-return', 'retry-prompt', 'toolResult', 'tool_search_output',
            'function_result', 'builtin-tool-return'
        )
        or type ~ '_(?:call_output|tool_result)$'
    then
        kind := 'returned';
        words := result_text(block);
        return next;
        return;
    elsif type like '%\_call' then
        kind := 'called';
        id := json_id(block, '{call_id,id}');
        name := left(type, -5);
        value := json_given(block, '{queries,code,action,operation,arguments,input,revised_prompt}');
        words := concat_ws(' ', name, json_values(value));
        return next;
        if block ? 'call_id' or name = 'local_shell' then
            if name <> 'image_generation' or jsonb_typeof(block -> 'result') is distinct from 'string' then
                return;
            end if;
        end if;
        if json_given(block, '{output,outputs,result,results,error,errorText}') is not null then
            kind := 'returned';
            words := case
                when name <> 'image_generation' or jsonb_typeof(block -> 'result') is distinct from 'string'
                    then result_text(block)
            end;
            return next;
        end if;
        return;
    elsif type in ('tool', 'dynamic-tool') or type like 'tool-%' then
        value := case
            when jsonb_typeof(block -> 'toolInvocation') = 'object' then block -> 'toolInvocation'
            else block
        end;
        state := case when jsonb_typeof(value -> 'state') = 'object' then value -> 'state' else value end;
        kind := 'called';
        id := json_id(value, '{tool_call_id,tool_use_id,call_id,toolCallId,toolUseId,callID,id}');
        name := coalesce(
            json_first(jsonb_build_array(value), '{tool,name,tool_name,toolName}'), regexp_replace(type, '^tool-', '')
        );
        words := concat_ws(
            ' ', nullif(name, ''), arguments_text(json_given(state, '{arguments,input,args,action,operation}'))
        );
        return next;
        if json_given(state, '{output,outputs,result,results,error,errorText}') is not null then
            kind := 'returned';
            words := result_text(state);
            return next;
        end if;
        return;
    else
        -- a block without a known type is known by a member
        is_there := false;
        foreach key in array case when block ?| members then members else '{}' end loop
            continue when jsonb_typeof(block -> key) is distinct from 'object';
            value := block -> key;
            is_there := true;
            if key in ('inlineData', 'inline_data', 'fileData', 'file_data', 'document', 'video') then
                media := 'file';
            elsif key = 'image' then
                media := 'image';
            elsif key = 'guardContent' then
                return query
                select * from content_parts(case when value ? 'text' then value || '{"type": "text"}' else value end);
                return;
            elsif key = 'citationsContent' then
                return query select * from content_parts(value -> 'content');
                return;
            elsif key = 'cachePoint' then
                return;
            elsif key = 'reasoningContent' then
                null;
            elsif key = 'executableCode' then
                kind := 'called';
                name := 'code_execution';
                words := concat_ws(' ', name, json_values(value));
                return next;
                return;
            elsif key = 'json' then
                kind := 'unknown';
                words := json_unknown(value);
                return next;
                return;
            elsif key in ('functionCall', 'function_call', 'toolUse', 'tool_call') then
                return query select * from call_part(value, call_ids);
                return;
            else
                kind := 'returned';
                words := result_text(value);
                return next;
                return;
            end if;
            exit;
        end loop;
        if not is_there then
            if block ?& '{call_id,content}' then
                kind := 'returned';
                words := result_text(block);
                return next;
                return;
            elsif block ?& '{name,arguments}' then
                return query select * from call_part(block, call_ids);
                return;
            elsif
                jsonb_typeof(block -> 'text') = 'string'
                and (
                    block -> 'thought' = 'true'
                    or block - aside = '{}'
                )
            then
                return query select * from content_parts(block || '{"type": "text"}');
                return;
            elsif block ?| '{mediaType,mimeType,mime_type}' and block ?| '{url,raw,uri,data}' then
                media := 'file';
            elsif block ? 'data' and block - '{kind,data,metadata}'::text[] = '{}' then
                kind := case when jsonb_typeof(block -> 'data') = 'string' then 'said' else 'unknown' end;
                words := case when kind = 'unknown' then json_unknown(block -> 'data') end;
                return next;
                return;
            else
                if block <> '{}' then
                    kind := 'unknown';
                    words := json_unknown(block);
                    return next;
                end if;
                return;
            end if;
        end if;
    end if;

    if media is null then
        kind := 'thought';
        words := thinking_text(value);
        if words is not null then
            return next;
        end if;
        return;
    end if;

    value := block -> 'document';
    if media = 'file' and jsonb_typeof(value) = 'object' and value ? 'data' and value - '{data,id}'::text[] = '{}' then
        if jsonb_typeof(value -> 'data') = 'string' then
            return query select * from content_parts(value -> 'data');
            return;
        end if;
        kind := 'unknown';
        words := json_unknown(value -> 'data');
        return next;
        return;
    end if;
    select t.is_found, t.words into is_there, words from media_text(block, media) as t;
    if is_there or type = 'source-document' then
        kind := 'said';
        return next;
    elsif exists (
        select from jsonb_each(block) as e (member, content) where member not in ('type', 'detail') and content <> 'null'
    ) then
        kind := 'unknown';
        words := json_unknown(block);
        return next;
    end if;
end
$$;

-- The message within an entry of a session file or a framework, with the entry's word for its role.
create function message_inner(message jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    inner_message jsonb := message -> 'message';
begin
    if
        not message ?| '{message,payload,kwargs,data,info}'
        and jsonb_typeof(message -> 'content') is distinct from 'object'
    then
        return message;
    end if;
    if jsonb_typeof(inner_message) = 'object' and inner_message ?| '{role,content,parts}' then
        return jsonb_build_object('role', message -> 'type') || inner_message;
    end if;
    inner_message := message -> 'payload';
    if jsonb_typeof(inner_message) = 'object' and message -> 'type' = '"response_item"' then
        return inner_message;
    end if;
    inner_message := message -> 'kwargs';
    if
        jsonb_typeof(inner_message) = 'object'
        and jsonb_typeof(message -> 'id') = 'array'
        and message -> 'id' <> '[]'
    then
        return jsonb_build_object('role', message #> '{id,-1}') || inner_message;
    end if;
    inner_message := message -> 'data';
    if
        jsonb_typeof(inner_message) = 'object'
        and message -> 'type' in ('"human"', '"ai"', '"system"', '"tool"', '"function"', '"chat"', '"remove"')
    then
        return jsonb_build_object('role', message -> 'type') || inner_message;
    end if;
    inner_message := message -> 'content';
    if
        jsonb_typeof(inner_message) = 'object'
        and jsonb_typeof(inner_message -> 'parts') = 'array'
        and jsonb_typeof(message -> 'role') is distinct from 'string'
    then
        return inner_message || jsonb_build_object(
            'role',
            case
                when nullif(json_string(inner_message -> 'role'), '') is not null then inner_message -> 'role'
                else message -> 'author'
            end
        );
    end if;
    inner_message := message -> 'info';
    if jsonb_typeof(inner_message) = 'object' and jsonb_typeof(message -> 'parts') = 'array' then
        return inner_message || jsonb_build_object('parts', message -> 'parts');
    end if;
    return message;
end
$$;

-- The role by what a message says of itself, or by its type. A role that nobody knows is a user's.
create function message_named_role(message jsonb) returns text
language plpgsql immutable parallel safe as $$
declare
    role text := json_string(message -> 'role');
    type text := json_string(message -> 'type');
begin
    if role <> '' then
        role := lower(role collate "C");
    elsif jsonb_typeof(message -> 'source') = 'string' and message ? 'content' then
        return case
            when type = 'ToolCallExecutionEvent' then 'tool'
            when message ->> 'source' in ('user', 'system') then message ->> 'source'
            else 'assistant'
        end;
    elsif message -> 'kind' in ('"request"', '"response"') and jsonb_typeof(message -> 'parts') = 'array' then
        role := message ->> 'kind';
    elsif type is null then
        return case when message ?| '{content,parts,text,blocks,items}' then 'user' end;
    elsif type in ('human', 'ai', 'system', 'tool', 'function', 'chat', 'remove') then
        if not message ? 'content' or message ? 'sessionId' then
            return null;
        end if;
        role := type;
    elsif type ~ '(?:_call|_output|tool_result|tool_use)$' then
        return case when type ~ '(?:_output|_result)$' then 'tool' else 'assistant' end;
    else
        return case
            when type in ('reasoning', 'compaction', 'agent_message') then 'assistant'
            when type = 'message' then 'user'
        end;
    end if;
    return case
        when role in ('system', 'developer', 'user', 'assistant', 'function', 'tool') then role
        when
            role in (
                'ai', 'model', 'agent', 'bot', 'aimessage', 'aimessagechunk', 'role_agent', 'response', 'reasoning',
                'chatbot', 'tool-call'
            )
            then 'assistant'
        when role = 'systemmessage' then 'system'
        when role in ('toolmessage', 'tool-response') then 'tool'
        when role = 'functionmessage' then 'function'
        else 'user'
    end;
end
$$;

-- The calls beside the content of a message, with the number of the list that they are in.
create function call_parts(message jsonb)
returns table (list bigint, kind text, id text, name text, words text)
language sql immutable parallel safe as $$
    select
        l.list,
        p.*
    from unnest(
        array[
            message -> 'tool_calls',
            message -> 'toolCalls',
            jsonb_build_array(message -> 'function_call'),
            message #> '{additional_kwargs,tool_calls}',
            jsonb_build_array(message #> '{additional_kwargs,function_call}')
        ]
    ) with ordinality as l (calls, list)
    cross join lateral jsonb_array_elements(case when jsonb_typeof(l.calls) = 'array' then l.calls end) as call
    cross join lateral call_part(
        call, '{id,call_id,tool_call_id,toolCallId,tool_use_id,toolUseId,callID}'
    ) as p
    where jsonb_typeof(call) = 'object'
$$;

-- The parts of a message and what is beside its content: thinking, a refusal, a recording, images, calls.
create function message_parts(message jsonb, role text)
returns table (kind text, id text, name text, words text)
language plpgsql immutable parallel safe as $$
declare
    type text := json_string(message -> 'type');
    given jsonb;
    key text;
    thoughts constant text[] := '{thinking_block,thinking_text,reasoning_details,reasoning_content,reasoning,thinking,tool_plan,
        thought}';
    has_results boolean := false;
    has_thoughts boolean;
begin
    if type in ('reasoning', 'compaction') or type ~ '(?:_call|_output|tool_result|tool_use)$' then
        return query select * from content_parts(message);
        return;
    end if;
    if
        jsonb_typeof(message -> 'parts') = 'array'
        and message -> 'parts' <> '[]'
        and coalesce(jsonb_typeof(message -> 'content'), '') not in ('array', 'object')
    then
        given := message -> 'parts';
    else
        given := json_given(message, '{content,parts,text,blocks,items}');
    end if;

    if role in ('tool', 'function') or json_id(message, '{tool_call_id,toolCallId}') is not null then
        if jsonb_typeof(given) = 'array' and json_id(message, '{tool_call_id,toolCallId}') is null then
            has_results := exists (select from content_parts(given) as p where p.kind = 'returned');
        end if;
        if has_results then
            return query select * from content_parts(given);
        else
            kind := 'returned';
            words := output_text(
                coalesce(given, json_given(message, '{result,response,outputs,results,tools,error,errorText}'))
            );
            return next;
        end if;
        return;
    end if;

    if type = 'ThoughtEvent' or lower(json_string(message -> 'role') collate "C") = 'reasoning' then
        kind := 'thought';
        words := thinking_text(given);
        has_thoughts := words is not null;
        if has_thoughts then
            return next;
        end if;
        given := null;
    else
        return query select * from content_parts(given);
        has_thoughts := message ?| thoughts and exists (select from content_parts(given) as p where p.kind = 'thought');
    end if;
    if message ?| thoughts and not has_thoughts then
        foreach key in array thoughts loop
            return query
            select
                'thought',
                null,
                null,
                t.thought
            from jsonb_array_elements(
                case jsonb_typeof(message -> key)
                    when 'array' then message -> key
                    else jsonb_build_array(message -> key)
                end
            ) as item
            cross join lateral thinking_text(item) as t (thought)
            where t.thought is not null;
            exit when found;
        end loop;
    end if;
    id := null;
    name := null;
    if jsonb_typeof(message -> 'refusal') = 'string' and message -> 'refusal' <> '""' then
        kind := 'said';
        words := message ->> 'refusal';
        return next;
    end if;
    if jsonb_typeof(message -> 'audio') = 'object' then
        kind := 'said';
        words := json_string(message #> '{audio,transcript}');
        return next;
    end if;
    if jsonb_typeof(message -> 'toolInvocations') = 'array' then
        if coalesce(message -> 'parts', 'null') in ('null', '[]', '{}', '""', '0', 'false') then
            return query
            select p.*
            from jsonb_array_elements(message -> 'toolInvocations') as item
            cross join lateral content_parts(jsonb_build_object('type', 'tool-invocation', 'toolInvocation', item)) as p
            where jsonb_typeof(item) = 'object';
        end if;
    end if;
    if jsonb_typeof(message -> 'images') = 'array' then
        return query
        select p.*
        from jsonb_array_elements(message -> 'images') as item
        cross join lateral content_parts(
            case jsonb_typeof(item) when 'string' then jsonb_build_object('type', 'image', 'data', item) else item end
        ) as p;
    end if;
    if message ?| '{tool_calls,toolCalls,function_call,additional_kwargs}' then
        -- calls that are in the content or in an earlier list, too, are the same
        return query
        select
            f.kind,
            f.id,
            f.name,
            f.words
        from (
            select
                p.*,
                min(p.list) over (partition by p.kind, p.id) as first_list
            from (
                select
                    0::bigint as list,
                    c.*
                from content_parts(given) as c
                where c.kind = 'called'
                union all
                select * from call_parts(message)
            ) as p
        ) as f
        where
            f.list > 0
            and (f.kind <> 'called' or f.id is null or f.list = f.first_list)
        order by f.list;
    end if;
end
$$;

-- The role of a message for filters and counts: one of six, or null for an entry that is no part of a conversation. A message of a user
-- with nothing but results of tools is one of a tool.
create or replace function message_role(message jsonb) returns text
language plpgsql immutable parallel safe as $$
declare
    -- members that make other parts than the content
    beside constant text[] := '{type,parts,refusal,audio,images,toolInvocations,tool_calls,toolCalls,function_call,additional_kwargs,
        thinking_block,thinking_text,reasoning_details,reasoning_content,reasoning,thinking,tool_plan,thought}';
    content constant jsonb := message -> 'content';
    role text := message ->> 'role';
    inner_message jsonb;
begin
    if
        role in ('system', 'developer', 'assistant', 'function', 'tool', 'user')
        and not message ?| '{message,payload,kwargs,data,info}'
    then
        if role <> 'user' and jsonb_typeof(content) is distinct from 'object' then
            return role;
        elsif
            not message ?| '{type,parts,tool_call_id,toolCallId}'
            and (
                jsonb_typeof(content) = 'string'
                or content @? '$[*] ? (@.type == "text" && @.text.type() == "string" && @.text != "")'
                and jsonb_typeof(content) = 'array'
            )
            and content <> '""'
        then
            return role;
        elsif
            not message ?| beside
            and jsonb_typeof(content) = 'array'
            and content <> '[]'
            and jsonb_array_length(content)
            = jsonb_array_length(jsonb_path_query_array(content, 'strict $[*] ? (@.type == "tool_result")'))
        then
            return 'tool';
        end if;
    end if;
    if message @? '$.**{64}' then
        return null;  -- refused by the table
    end if;
    inner_message := message_inner(message);
    role := message_named_role(inner_message);
    if role = 'user' and not json_is_vast(inner_message) then
        return (
            select case when bool_and(kind = 'returned') then 'tool' else 'user' end
            from message_parts(inner_message, role)
        );
    end if;
    return role;
end
$$;

-- The texts of a short list of blocks or calls if all of them are texts, thinking, calls or results in the form of Anthropic or OpenAI,
-- as content_parts and call_part read them. `is_plain` is false if there are others.
create function plain_texts(
    items jsonb, are_calls boolean, out is_plain boolean, out said text, out called text, out returned text, out thought text
)
language plpgsql immutable parallel safe as $$
declare
    item jsonb;
    type text;
    part record;
begin
    if jsonb_typeof(items) is distinct from 'array' then
        is_plain := true;
        return;
    end if;
    is_plain := jsonb_array_length(items) <= 20;
    for number in 0 .. least(jsonb_array_length(items), 20) - 1 loop
        item := items -> number;
        type := item ->> 'type';
        if jsonb_typeof(item) <> 'object' or item ?| '{visibility,thought}' or not is_plain then
            is_plain := false;
        elsif are_calls or type in ('tool_use', 'tool_call') then
            part := call_part(item, '{id}');
            is_plain := part.kind = 'called';
            called := concat_ws(E'\n', called, part.words);
        elsif type = 'text' and jsonb_typeof(item -> 'text') = 'string' then
            said := concat_ws(E'\n', said, nullif(item ->> 'text', ''));
        elsif type = 'tool_result' and coalesce(jsonb_typeof(item -> 'content'), 'null') in ('string', 'null') then
            returned := concat_ws(E'\n', returned, result_text(item));
        elsif type = 'thinking' and jsonb_typeof(item -> 'thinking') = 'string' then
            thought := concat_ws(E'\n', thought, thinking_text(item));
        else
            is_plain := false;
        end if;
    end loop;
    said := nullif(said, '');
    returned := nullif(returned, '');
    thought := nullif(thought, '');
end
$$;

-- A message's texts: what was said, what tools were called with (their names first), what they returned, and what was thought.
-- Blocks marked as internal are in none of them, nor is base64. What is no object has none: a constraint refuses it after the trigger.
create or replace function message_texts(message jsonb)
returns table (said text, called text, returned text, thought text)
language plpgsql immutable as $$
declare
    data_address constant text := 'data:[^;,\s]*;base64,[A-Za-z0-9+/=_-]*';
    role text := message ->> 'role';
    content jsonb := message -> 'content';
    is_read boolean := false;
    plain record;
    whole text;
    has_plain boolean := true;
    inner_message jsonb;
begin
    if jsonb_typeof(message) <> 'object' then
        return next;
        return;
    end if;
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
            if json_is_vast(inner_message) then
                whole := json_unknown(inner_message);
                said := case when role not in ('tool', 'function') then whole end;
                returned := case when role in ('tool', 'function') then whole end;
                return next;
                return;
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

-- The names of the tools that a message calls.
create or replace function message_tools(message jsonb) returns text[]
language plpgsql immutable as $$
declare
    inner_message jsonb;
    role text;
begin
    if jsonb_typeof(message) <> 'object' then
        return '{}';
    end if;
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

comment on function json_first is 'Returns the first text that is not empty under one of the keys, in the first of the objects that has one';
comment on function json_given is 'Returns the value of the first of the keys that is neither missing nor null';
comment on function json_id is 'Returns the id of a call under the first of the keys that has a text or a number';
comment on function json_unsealed is 'Returns a value without what only its provider can read';
comment on function json_unknown is 'Returns the texts and numbers of a value of no known format';
comment on function json_is_vast is 'Returns whether a value has more than some 20,000 values: it is searched as a whole, not by its blocks';
comment on function json_shown is 'Returns a message without the blocks that are marked as internal';
comment on function json_texts is 'Returns a text, or the texts in a list of texts and blocks, a line each';
comment on function json_values is 'Returns the texts and numbers in a JSON value, without its keys and without long base64';
comment on function thinking_text is 'Returns what was thought; empty if it is sealed, null if the value is no thinking';
comment on function media_text is 'Returns what is searched of an image, a file or a recording, and whether the block is one';
comment on function arguments_text is 'Returns the values of a call''s arguments, which are an object or JSON text of one';
comment on function call_part is 'Returns the name and the words of a tool call';
comment on function output_text is 'Returns the words of what a tool returned';
comment on function result_text is 'Returns the words of a result, under the first of the names that formats have for it';
comment on function content_parts is 'Returns the parts of content in any format: their kind (said, called, returned, thought or unknown), id, name and words';
comment on function call_parts is 'Returns the calls beside the content of a message, with the number of the list that they are in';
comment on function message_inner is 'Returns the message within an entry of a session file or a framework';
comment on function message_named_role is 'Returns the role by what a message says of itself, or by its type';
comment on function message_parts is 'Returns the parts of a message: those of its content and those beside it';
comment on function plain_texts is 'Returns the texts of a short list of blocks or calls in the forms of Anthropic and OpenAI, and whether all are';
comment on function message_role is 'Returns the role of a message in any format: system, developer, user, assistant, function or tool; null for an entry that is no part of a conversation';
