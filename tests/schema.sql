CREATE FUNCTION public.advance_clock_by_hand() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
COMMENT ON FUNCTION public.advance_clock_by_hand() IS 'Trigger: moves a session''s clock and message count to messages and events that another role than the service''s inserted';
CREATE FUNCTION public.announce(payload text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    keys public.notification_keys;
    dated text := (extract(epoch from clock_timestamp()) * 1000000)::bigint || ' ' || payload;
begin
    select * into strict keys from public.notification_keys;
    perform pg_notify(
        'amplifier',
        left(encode(sha256(keys.outer_key || sha256(keys.inner_key || convert_to(dated, 'UTF8'))), 'hex'), 32) || ' ' || dated
    );
end
$$;
COMMENT ON FUNCTION public.announce(payload text) IS 'Sends all processes a signed notification, such as `select announce(''reload queries'')`';
CREATE FUNCTION public.announce_application() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    delete from public.stream_tickets where app_id = old.app_id;
    perform public.announce('application ' || old.app_id);
    return null;
end
$$;
COMMENT ON FUNCTION public.announce_application() IS 'Trigger: deletes the stream tickets of a changed application and makes all processes forget its keys';
CREATE FUNCTION public.applications_drop_states() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    delete from public.user_states where app_id = old.app_id;
    delete from public.application_states where app_id = old.app_id;
    return null;
end
$$;
COMMENT ON FUNCTION public.applications_drop_states() IS 'Trigger: deletes the documents of an application that is deleted, and those of its users';
CREATE FUNCTION public.arguments_text(given jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
begin
    if jsonb_typeof(given) = 'string' then
        return coalesce(json_text_values(given #>> '{}'), given #>> '{}');
    end if;
    return json_values(given);
end
$$;
COMMENT ON FUNCTION public.arguments_text(given jsonb) IS 'Returns the values of a call''s arguments, which are an object or JSON text of one';
CREATE FUNCTION public.attachments_note_removal() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    insert into public.attachment_removals (location, due_at) values (old.location, clock_timestamp())
    on conflict (location) do nothing;
    return null;
end
$$;
COMMENT ON FUNCTION public.attachments_note_removal() IS 'Trigger: notes the blob of a deleted attachment';
CREATE FUNCTION public.bound_event() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.data := public.bounded_event(new.data);
    return new;
end
$$;
COMMENT ON FUNCTION public.bound_event() IS 'Trigger: replaces the data of an event above 8,192 bytes by bounded_event';
CREATE FUNCTION public.bounded_event(data jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with members as (
        select
            key,
            value,
            octet_length(to_json(key)::text) + 2 as name_bytes,
            octet_length(to_json(key)::text) + octet_length(value::text) + 4 as bytes
        from jsonb_each(data)
        where key <> 'changed'
    ),
    measured_members as (
        select
            key,
            value,
            name_bytes,
            sum(bytes) over (order by bytes, key) as bytes
        from members
    ),
    left_out as (
        select
            key,
            sum(name_bytes) over (order by key) as bytes
        from measured_members
        where bytes > 4096
    )
    select
        coalesce((select jsonb_object_agg(key, value) from measured_members where bytes <= 4096), '{}')
        || jsonb_build_object(
            'changed', coalesce((select jsonb_agg(key order by key) from left_out where bytes <= 2048), '[]')
        )
$$;
COMMENT ON FUNCTION public.bounded_event(data jsonb) IS 'Returns the smallest members of an event''s data, 4,096 bytes together, and the names of the others in `changed`';
CREATE FUNCTION public.call_part(call jsonb, ids text[], OUT kind text, OUT id text, OUT name text, OUT words text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.call_part(call jsonb, ids text[], OUT kind text, OUT id text, OUT name text, OUT words text) IS 'Returns the name and the words of a tool call';
CREATE FUNCTION public.call_parts(message jsonb) RETURNS TABLE(list bigint, kind text, id text, name text, words text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.call_parts(message jsonb) IS 'Returns the calls beside the content of a message, with the number of the list that they are in';
CREATE FUNCTION public.content_parts(block jsonb) RETURNS TABLE(kind text, id text, name text, words text)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $_$
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
$_$;
COMMENT ON FUNCTION public.content_parts(block jsonb) IS 'Returns the parts of content in any format: their kind (said, called, returned, thought or unknown), id, name and words';
CREATE TABLE public.messages (
    session_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    message jsonb NOT NULL,
    role text,
    size integer GENERATED ALWAYS AS (octet_length((message)::text)) STORED,
    author_user_id text NOT NULL COLLATE pg_catalog."C",
    author_app_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    search tsvector,
    search_truncated boolean DEFAULT false NOT NULL,
    search_revision text,
    key character varying(256) COLLATE pg_catalog."C",
    CONSTRAINT messages_message_check CHECK ((jsonb_typeof(message) = 'object'::text)),
    CONSTRAINT messages_message_depth_check CHECK ((NOT (message @? '$.**{64}'::jsonpath))),
    CONSTRAINT messages_message_role_check CHECK (
CASE
    WHEN (jsonb_typeof((message -> 'role'::text)) = 'string'::text) THEN ((length((message ->> 'role'::text)) >= 1) AND (length((message ->> 'role'::text)) <= 64))
    ELSE ((message ->> 'role'::text) IS NULL)
END),
    CONSTRAINT messages_role_check CHECK ((role = ANY (ARRAY['system'::text, 'developer'::text, 'user'::text, 'assistant'::text, 'function'::text, 'tool'::text]))),
    CONSTRAINT messages_seq_check CHECK ((seq > 0)),
    CONSTRAINT messages_size_check CHECK ((size <= 16777216))
);
COMMENT ON TABLE public.messages IS 'Transcripts, one row per message. The service only adds rows; messages_move gives them higher numbers, messages_replace replaces those that have a key, messages_retract takes them back. Rows inserted by hand are streamed and searched like others.';
COMMENT ON COLUMN public.messages.session_id IS 'The session';
COMMENT ON COLUMN public.messages.seq IS 'Number on the clock of the session, shared with session_events: ascending in the order of commits. If left out by hand, the next one';
COMMENT ON COLUMN public.messages.message IS 'The message as the client or the agent sent it, a JSON object of at most 16 MB, usually with `role` and `content`';
COMMENT ON COLUMN public.messages.role IS 'Role that a trigger derives from the message: system, developer, user, assistant, function or tool; null if the message has none';
COMMENT ON COLUMN public.messages.size IS 'Length of the message as text, in bytes, derived';
COMMENT ON COLUMN public.messages.author_user_id IS 'The user that added the message, or in whose name the agent did';
COMMENT ON COLUMN public.messages.author_app_id IS 'The application that the message was added through';
COMMENT ON COLUMN public.messages.created_at IS 'Time of the statement that added the message';
COMMENT ON COLUMN public.messages.search IS 'Words of the message by weight: A said, B tools called, C tools returned, D thought. A trigger derives it from the message';
COMMENT ON COLUMN public.messages.search_truncated IS 'True if the message has more words than search holds: the first 100,000 characters count';
COMMENT ON COLUMN public.messages.search_revision IS 'Language and version of the functions that search was made with. Set it to null to index the row again';
COMMENT ON COLUMN public.messages.key IS 'The client''s name for the message, unique in the session; null if it has none';
CREATE FUNCTION public.count_unread(session text, reader text, last_read_seq bigint) RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT count(*) AS count FROM (SELECT FROM public.messages m WHERE ((m.session_id = count_unread.session) AND (m.seq > count_unread.last_read_seq) AND ((m.role <> 'user'::text) OR (m.author_user_id <> count_unread.reader))) LIMIT 100) unread);
COMMENT ON FUNCTION public.count_unread(session text, reader text, last_read_seq bigint) IS 'Returns how many messages after a number a participant has not read, at most 100';
CREATE FUNCTION public.json_first(objects jsonb, keys text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.json_first(objects jsonb, keys text[]) IS 'Returns the first text that is not empty under one of the keys, in the first of the objects that has one';
CREATE FUNCTION public.json_given(object jsonb, keys text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.json_given(object jsonb, keys text[]) IS 'Returns the value of the first of the keys that is neither missing nor null';
CREATE FUNCTION public.json_id(object jsonb, keys text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.json_id(object jsonb, keys text[]) IS 'Returns the id of a call under the first of the keys that has a text or a number';
CREATE FUNCTION public.json_is_vast(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT ((octet_length(text.text) > 100000) AND ((octet_length(text.text) - octet_length(replace(text.text, ', '::text, ''::text))) > 40000)) FROM CAST((json_is_vast.value)::text AS text) text(text));
COMMENT ON FUNCTION public.json_is_vast(value jsonb) IS 'Returns whether a value has more than some 20,000 values: it is searched as a whole, not by its blocks';
CREATE FUNCTION public.json_shown(value jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $_$
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
$_$;
COMMENT ON FUNCTION public.json_shown(value jsonb) IS 'Returns a message without the blocks that are marked as internal';
CREATE FUNCTION public.json_string(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (jsonb_typeof(value) = 'string'::text) THEN (value #>> '{}'::text[]) ELSE NULL::text END;
COMMENT ON FUNCTION public.json_string(value jsonb) IS 'Returns a JSON string as text, null for other JSON';
CREATE FUNCTION public.json_text_values(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    AS $$
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
COMMENT ON FUNCTION public.json_text_values(value text) IS 'Returns the strings and numbers in JSON that is written as text, null for other text';
CREATE FUNCTION public.json_texts(value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.json_texts(value jsonb) IS 'Returns a text, or the texts in a list of texts and blocks, a line each';
CREATE FUNCTION public.json_unknown(value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
begin
    if jsonb_typeof(value) in ('object', 'array') and value::text ~ '"(?:encrypted_|signature|thought_?[sS]ignature)' then
        return json_values(json_unsealed(value));
    end if;
    return json_values(value);
end
$$;
COMMENT ON FUNCTION public.json_unknown(value jsonb) IS 'Returns the texts and numbers of a value of no known format';
CREATE FUNCTION public.json_unsealed(value jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.json_unsealed(value jsonb) IS 'Returns a value without what only its provider can read';
CREATE FUNCTION public.json_values(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT string_agg(scalar.value, ' '::text) AS string_agg FROM jsonb_array_elements_text(jsonb_path_query_array(json_values.value, 'strict $.**?(@.type() == "string" || @.type() == "number")'::jsonpath)) scalar(value) WHERE ((length(scalar.value) < 500) OR ("left"(scalar.value, 500) !~ '^[A-Za-z0-9+/_=-]+$'::text)));
COMMENT ON FUNCTION public.json_values(value jsonb) IS 'Returns the texts and numbers in a JSON value, without its keys and without long base64';
CREATE FUNCTION public.keep_config_version() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    insert into config_versions (config_id, version, name, description, config_json, tags, created_at)
    values (old.config_id, old.version, old.name, old.description, old.config_json, old.tags, old.updated_at);
    new.version := old.version + 1;
    return new;
end
$$;
COMMENT ON FUNCTION public.keep_config_version() IS 'Trigger: copies a config that changes to config_versions and counts its version up';
CREATE FUNCTION public.keep_default_key() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    insert into application_keys (app_id, key_id, name, api_key_hash)
    values (new.app_id, new.api_key_prefix, 'default', new.api_key_hash)
    on conflict on constraint application_keys_app_id_name_key do update
    set
        key_id = excluded.key_id,
        api_key_hash = excluded.api_key_hash,
        created_at = now(),
        expires_at = null,
        last_used_at = null;
    return null;
end
$$;
COMMENT ON FUNCTION public.keep_default_key() IS 'Trigger: copies an application''s own key to application_keys, as the key named `default`';
CREATE FUNCTION public.may_cancel(role text, permissions jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((permissions ->> 'cancel'::text))::boolean, (role = ANY (ARRAY['owner'::text, 'editor'::text])));
COMMENT ON FUNCTION public.may_cancel(role text, permissions jsonb) IS 'Returns whether a participant may stop the agent: as `permissions` say, else owners and editors';
CREATE FUNCTION public.may_export(role text, permissions jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((permissions ->> 'export'::text))::boolean, (role = ANY (ARRAY['owner'::text, 'editor'::text, 'viewer'::text])));
COMMENT ON FUNCTION public.may_export(role text, permissions jsonb) IS 'Returns whether a participant may export the transcript, read it in one answer and fork the session: as `permissions` say, else everybody';
CREATE FUNCTION public.may_invite(role text, permissions jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((permissions ->> 'invite'::text))::boolean, (role = 'owner'::text));
COMMENT ON FUNCTION public.may_invite(role text, permissions jsonb) IS 'Returns whether a participant may add people up to the own role: as `permissions` say, else owners';
CREATE FUNCTION public.may_send(role text, permissions jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((permissions ->> 'send'::text))::boolean, (role = ANY (ARRAY['owner'::text, 'editor'::text])));
COMMENT ON FUNCTION public.may_send(role text, permissions jsonb) IS 'Returns whether a participant may add messages, send them to the agent and answer its questions: as `permissions` say, else owners and editors';
CREATE FUNCTION public.media_text(block jsonb, kind text, OUT is_found boolean, OUT words text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.media_text(block jsonb, kind text, OUT is_found boolean, OUT words text) IS 'Returns what is searched of an image, a file or a recording, and whether the block is one';
CREATE FUNCTION public.merge_patch(target jsonb, patch jsonb, level integer DEFAULT 1) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
declare
    former jsonb := case when jsonb_typeof(target) = 'object' then target else '{}' end;
begin
    if patch is null then
        return target;
    elsif jsonb_typeof(patch) <> 'object' then
        return patch;
    elsif level > 64 then
        raise statement_too_complex using message = 'the patch is nested deeper than 64 levels';
    end if;
    return (
        select
            (former - coalesce(array_agg(key) filter (where value = 'null'), '{}')) || coalesce(
                jsonb_object_agg(
                    key,
                    case
                        when jsonb_typeof(value) = 'object' then merge_patch(former -> key, value, level + 1)
                        else value
                    end
                ) filter (where value <> 'null'),
                '{}'
            )
        from jsonb_each(patch)
    );
end
$$;
COMMENT ON FUNCTION public.merge_patch(target jsonb, patch jsonb, level integer) IS 'Returns a value with the members of a JSON merge patch (RFC 7396); null removes a member. A patch that is SQL''s null changes nothing';
CREATE FUNCTION public.message_embeddings_add() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    insert into public.message_embeddings (session_id, seq, created_at, due_at)
    select
        session_id,
        seq,
        created_at,
        clock_timestamp()
    from added
    on conflict (session_id, seq) do nothing;
    return null;
end
$$;
COMMENT ON FUNCTION public.message_embeddings_add() IS 'Trigger: adds rows for new messages, which wait to be embedded';
CREATE FUNCTION public.message_embeddings_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if new.message is distinct from old.message then
        update public.message_embeddings
        set
            embedding = null,
            digest = null,
            attempts = 0,
            due_at = clock_timestamp()
        where
            session_id = old.session_id
            and seq = old.seq;
    end if;
    if new.seq <> old.seq then
        update public.message_embeddings
        set seq = new.seq
        where
            session_id = old.session_id
            and seq = old.seq;
    end if;
    return null;
end
$$;
COMMENT ON FUNCTION public.message_embeddings_change() IS 'Trigger: removes the embedding of a replaced message, or gives it the new number of a moved one';
CREATE FUNCTION public.message_embeddings_disable() RETURNS void
    LANGUAGE plpgsql
    SET lock_timeout TO '5s'
    AS $$
begin
    drop trigger if exists messages_add_embeddings on public.messages;
    drop trigger if exists messages_drop_embeddings on public.messages;
    drop trigger if exists messages_change_embeddings on public.messages;
    truncate public.message_embeddings;
    delete from public.embedding_models;
    drop index if exists public.message_embeddings_embedding_idx;
    alter table public.message_embeddings drop constraint if exists message_embeddings_embedding_size_check;
    alter table public.message_embeddings alter column embedding type real[] using null;
    alter table public.message_embeddings
    add constraint message_embeddings_embedding_size_check check (cardinality(embedding) <= 4000);
end
$$;
COMMENT ON FUNCTION public.message_embeddings_disable() IS 'Gives the database the state without embeddings: removes them, their triggers and their index';
CREATE FUNCTION public.message_embeddings_drop() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    delete from public.message_embeddings as e
    using removed as r
    where
        e.session_id = r.session_id
        and e.seq = r.seq;
    return null;
end
$$;
COMMENT ON FUNCTION public.message_embeddings_drop() IS 'Trigger: deletes the embeddings of messages that were deleted or taken back';
CREATE FUNCTION public.message_embeddings_enable(new_model text, new_dimensions integer, may_use_vector boolean DEFAULT true) RETURNS boolean
    LANGUAGE plpgsql
    SET lock_timeout TO '5s'
    AS $_$
declare
    has_vector boolean;
    extension_schema text;
begin
    if exists (select from pg_catalog.pg_extension where extname = 'citus') then
        raise exception 'the search by meaning is not for a database with Citus';
    end if;
    lock table public.embedding_models in exclusive mode;
    has_vector := may_use_vector and exists (
        select
        from pg_catalog.pg_available_extensions as x
        where
            x.name = 'vector'
            and string_to_array(substring(coalesce(x.installed_version, x.default_version) from '^[0-9]+[.][0-9]+'), '.')::integer[]
            >= array[0, 8]
    );
    if not exists (
        select
        from public.embedding_models as k
        where
            k.model = new_model
            and k.dimensions = new_dimensions
            and k.is_indexed = has_vector
    ) then
        perform public.message_embeddings_disable();
        if has_vector then
            create extension if not exists vector;
            select quote_ident(n.nspname) into extension_schema
            from pg_catalog.pg_extension as x
            inner join pg_catalog.pg_namespace as n on n.oid = x.extnamespace
            where x.extname = 'vector';
            alter table public.message_embeddings drop constraint message_embeddings_embedding_size_check;
            execute format(
                'alter table public.message_embeddings alter column embedding type %1$s.halfvec(%2$s) using null',
                extension_schema, new_dimensions
            );
            execute format(
                'create index message_embeddings_embedding_idx on public.message_embeddings
                using hnsw (embedding %1$s.halfvec_cosine_ops)',
                extension_schema
            );
        end if;
        insert into public.embedding_models (model, dimensions, is_indexed) values (new_model, new_dimensions, has_vector);
    end if;
    if not exists (select from pg_catalog.pg_trigger where tgname = 'messages_add_embeddings') then
        create trigger messages_add_embeddings after insert on public.messages
        referencing new table as added
        for each statement execute function public.message_embeddings_add();
        create trigger messages_drop_embeddings after delete on public.messages
        referencing old table as removed
        for each statement execute function public.message_embeddings_drop();
        create trigger messages_change_embeddings after update on public.messages
        for each row
        when (old.message is distinct from new.message or old.seq is distinct from new.seq)
        execute function public.message_embeddings_change();
    end if;
    return has_vector;
end
$_$;
COMMENT ON FUNCTION public.message_embeddings_enable(new_model text, new_dimensions integer, may_use_vector boolean) IS 'Returns whether pgvector keeps the embeddings of a model, for which it prepares the database. Removes those of another model';
CREATE FUNCTION public.message_embeddings_fill(INOUT after_session_id text, INOUT after_seq bigint, most bigint, OUT scanned bigint, OUT added bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
begin
    with next_messages as materialized (
        select
            m.session_id,
            m.seq,
            m.created_at
        from public.messages as m
        where (m.session_id, m.seq) > (after_session_id, after_seq)
        order by
            m.session_id,
            m.seq
        limit most
    ),
    added_rows as (
        insert into public.message_embeddings as e (session_id, seq, created_at, due_at)
        select
            n.session_id,
            n.seq,
            n.created_at,
            n.created_at
        from next_messages as n
        on conflict (session_id, seq) do update
        set
            due_at = excluded.due_at,
            attempts = 0
        where
            e.embedding is null
            and e.due_at is null
        returning 1
    )
    select
        max(n.session_id),
        (array_agg(n.seq order by n.session_id desc, n.seq desc))[1],
        count(*),
        (select count(*) from added_rows)
    into after_session_id, after_seq, scanned, added
    from next_messages as n;
end
$$;
COMMENT ON FUNCTION public.message_embeddings_fill(INOUT after_session_id text, INOUT after_seq bigint, most bigint, OUT scanned bigint, OUT added bigint) IS 'Returns how far it came among messages that have no embedding: it has a number of them embedded';
CREATE FUNCTION public.message_embeddings_nearest(of_session_ids text[], of_messages bigint, wanted real[], of_role text, of_author_user_id text, calling_tool text, since timestamp with time zone, until timestamp with time zone, most integer) RETURNS TABLE(session_id text, seq bigint, similarity double precision)
    LANGUAGE plpgsql STABLE ROWS 50
    AS $_$
declare
    known public.embedding_models;
    extension_schema text;
    filtered text := '';
    compared text;
    found_session_ids text[];
    found_seqs bigint[];
    found_similarities double precision[];
begin
    select * into known from public.embedding_models;
    if of_session_ids is null or wanted is null or known.dimensions <> cardinality(wanted) then
        return;
    end if;
    if of_role is not null or of_author_user_id is not null or calling_tool is not null then
        filtered := 'and exists (
            select
            from public.messages as m
            where
                m.session_id = e.session_id
                and m.seq = e.seq
                and ($3 is null or m.role = $3)
                and ($4 is null or m.author_user_id = $4)
                and ($5 is null or $5 = any(public.message_tools(m.message)))
        )';
    end if;
    if known.is_indexed then
        select quote_ident(n.nspname) into extension_schema
        from pg_catalog.pg_extension as x
        inner join pg_catalog.pg_namespace as n on n.oid = x.extnamespace
        where x.extname = 'vector';
        compared := format(
            '1 - (e.embedding operator(%1$s.<=>) $2::%1$s.halfvec(%2$s))', extension_schema, known.dimensions
        );
    end if;
    if known.is_indexed and of_messages * known.dimensions > 8000000 then
        perform
            set_config('hnsw.iterative_scan', 'relaxed_order', true),
            set_config('hnsw.ef_search', '400', true),
            set_config('hnsw.max_scan_tuples', '40000', true);
        execute format(
            'select
                array_agg(n.session_id order by n.similarity desc),
                array_agg(n.seq order by n.similarity desc),
                array_agg(n.similarity order by n.similarity desc)
            from (
                select
                    e.session_id,
                    e.seq,
                    %3$s as similarity
                from public.message_embeddings as e
                where
                    e.embedding is not null
                    and e.session_id = any($1)
                    and ($6 is null or e.created_at >= $6)
                    and ($7 is null or e.created_at < $7)
                    %4$s
                order by e.embedding operator(%1$s.<=>) $2::%1$s.halfvec(%2$s)
                limit $8
            ) as n',
            extension_schema, known.dimensions, compared, filtered
        )
        into found_session_ids, found_seqs, found_similarities
        using of_session_ids, wanted, of_role, of_author_user_id, calling_tool, since, until, most;
        if cardinality(found_seqs) = most then
            return query
            select *
            from unnest(found_session_ids, found_seqs, found_similarities);
            return;
        end if;
    end if;
    return query execute format(
        'select
            e.session_id,
            e.seq,
            %1$s as similarity
        from (
            select
                n.session_id,
                n.seq,
                n.embedding
            from unnest($1) as s (session_id)
            cross join lateral (
                select *
                from public.message_embeddings as e
                where
                    e.session_id = s.session_id
                    and e.embedding is not null
                    and ($6 is null or e.created_at >= $6)
                    and ($7 is null or e.created_at < $7)
                    %2$s
                offset 0
            ) as n
            %3$s
        ) as e
        order by
            similarity desc,
            e.session_id desc,
            e.seq desc
        limit $8',
        coalesce(
            compared,
            '(
                select sum(t.a * t.b) / nullif(sqrt(sum(t.a * t.a) * sum(t.b * t.b)), 0)
                from unnest(e.embedding, $2) as t (a, b)
            )::double precision'
        ),
        filtered,
        case when compared is null then format('order by n.created_at desc limit %s', 4000000 / cardinality(wanted)) else '' end
    )
    using of_session_ids, wanted, of_role, of_author_user_id, calling_tool, since, until, most;
end
$_$;
COMMENT ON FUNCTION public.message_embeddings_nearest(of_session_ids text[], of_messages bigint, wanted real[], of_role text, of_author_user_id text, calling_tool text, since timestamp with time zone, until timestamp with time zone, most integer) IS 'Returns the messages of some sessions whose embeddings are most similar to a vector. The caller checks who may read the sessions';
CREATE FUNCTION public.message_inner(message jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.message_inner(message jsonb) IS 'Returns the message within an entry of a session file or a framework';
CREATE FUNCTION public.message_named_role(message jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $_$
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
$_$;
COMMENT ON FUNCTION public.message_named_role(message jsonb) IS 'Returns the role by what a message says of itself, or by its type';
CREATE FUNCTION public.message_parts(message jsonb, role text) RETURNS TABLE(kind text, id text, name text, words text)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $_$
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
$_$;
COMMENT ON FUNCTION public.message_parts(message jsonb, role text) IS 'Returns the parts of a message: those of its content and those beside it';
CREATE FUNCTION public.message_role(message jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $_$
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
$_$;
COMMENT ON FUNCTION public.message_role(message jsonb) IS 'Returns the role of a message in any format: system, developer, user, assistant, function or tool; null for an entry that is no part of a conversation';
CREATE FUNCTION public.message_search(message jsonb, language regconfig) RETURNS tsvector
    LANGUAGE sql IMMUTABLE
    AS $$
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
COMMENT ON FUNCTION public.message_search(message jsonb, language regconfig) IS 'Returns the words of a message, weighted A said, B tools called, C tools returned, D thought';
CREATE FUNCTION public.message_texts(message jsonb) RETURNS TABLE(said text, called text, returned text, thought text)
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
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
$_$;
COMMENT ON FUNCTION public.message_texts(message jsonb) IS 'Returns the texts of a message that are searched: said, called (tools and their arguments), returned (by tools) and thought';
CREATE FUNCTION public.message_tools(message jsonb) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
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
$_$;
COMMENT ON FUNCTION public.message_tools(message jsonb) IS 'Returns the names of the tools that a message calls';
CREATE FUNCTION public.messages_by_key(of_session_id text, of_keys text[]) RETURNS TABLE(seq bigint, key text, message jsonb, role text, author_user_id text)
    LANGUAGE sql
    AS $$
    select
        m.seq,
        m.key,
        m.message,
        m.role,
        m.author_user_id
    from messages as m
    where
        m.session_id = of_session_id
        and m.key = any(of_keys::varchar[])
$$;
COMMENT ON FUNCTION public.messages_by_key(of_session_id text, of_keys text[]) IS 'Returns the messages of a session with these keys, also those committed since the statement began';
CREATE FUNCTION public.messages_choose(of_session_id text, seqs bigint[], newest bigint, after_seq bigint, most bigint) RETURNS TABLE(seq bigint, author_user_id text)
    LANGUAGE plpgsql
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
begin
    return query
    select
        m.seq,
        m.author_user_id
    from public.messages as m
    where
        m.session_id = of_session_id
        and m.seq = any(seqs)
    union all
    (
        select
            m.seq,
            m.author_user_id
        from public.messages as m
        where
            m.session_id = of_session_id
            and m.seq > after_seq
        order by m.seq
        limit most
    )
    union all
    (
        select
            m.seq,
            m.author_user_id
        from public.messages as m
        where m.session_id = of_session_id
        order by m.seq desc
        limit coalesce(newest, 0)
    );
end
$$;
COMMENT ON FUNCTION public.messages_choose(of_session_id text, seqs bigint[], newest bigint, after_seq bigint, most bigint) IS 'Returns the messages of a session that are to be taken back, with their authors: those with the given numbers, at most `most` after a number, or the newest. Commits during the calling statement are included';
CREATE FUNCTION public.messages_erase(of_session_id text, seqs bigint[]) RETURNS SETOF bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    update public.retracted_messages as m
    set
        message = '{}',
        erased_at = clock_timestamp()
    where
        m.session_id = of_session_id
        and m.seq = any(seqs)
        and m.erased_at is null
    returning m.seq
$$;
COMMENT ON FUNCTION public.messages_erase(of_session_id text, seqs bigint[]) IS 'Returns the numbers of retracted messages of a session that it empties. Works as its owner, because the service may not update retracted messages';
CREATE FUNCTION public.messages_move(of_session_id text, from_seqs bigint[], to_seqs bigint[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with moved_messages as (
        update public.messages as m
        set seq = t.to_seq
        from unnest(from_seqs, to_seqs) as t (from_seq, to_seq)
        where
            m.session_id = of_session_id
            and m.seq = t.from_seq
            and t.to_seq > t.from_seq
        returning m.seq
    ),
    moved_origins as (
        update public.session_origin_lines as o
        set
            message_seqs = array(
                select coalesce(t.to_seq, l.message_seq)
                from unnest(o.message_seqs) with ordinality as l (message_seq, place)
                left join unnest(from_seqs, to_seqs) as t (from_seq, to_seq)
                    on t.from_seq = l.message_seq
                    and t.to_seq > t.from_seq
                order by l.place
            )
        where
            o.session_id = of_session_id
            and o.message_seqs && from_seqs
    )
    select count(*)
    from moved_messages
$$;
COMMENT ON FUNCTION public.messages_move(of_session_id text, from_seqs bigint[], to_seqs bigint[]) IS 'Gives messages of a session higher numbers, for the repair of a transcript, and returns how many it moved. Works as its owner, because the service may not update messages';
CREATE FUNCTION public.messages_refresh_search(INOUT after_session_id text, INOUT after_seq bigint, most bigint, OUT scanned bigint, OUT refreshed bigint, OUT skipped bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
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
COMMENT ON FUNCTION public.messages_refresh_search(INOUT after_session_id text, INOUT after_seq bigint, most bigint, OUT scanned bigint, OUT refreshed bigint, OUT skipped bigint) IS 'Indexes the next messages again whose words are of another language or revision; used by `amplifier-api search reindex`';
CREATE FUNCTION public.messages_replace(of_session_id text, of_seqs bigint[], new_messages jsonb[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    with replaced_messages as (
        update public.messages as m
        set message = n.message
        from unnest(of_seqs, new_messages) as n (seq, message)
        where
            m.session_id = of_session_id
            and m.seq = n.seq
            and m.key is not null
        returning m.seq
    )
    select count(*)
    from replaced_messages
$$;
COMMENT ON FUNCTION public.messages_replace(of_session_id text, of_seqs bigint[], new_messages jsonb[]) IS 'Replaces messages of a session that have a key and returns how many it replaced. Works as its owner, because the service may not update messages';
CREATE FUNCTION public.messages_retract(of_session_id text, seqs bigint[], event_seq bigint, by_user_id text, by_app_id text, erases boolean) RETURNS TABLE(seq bigint, message jsonb, role text, size integer, author_user_id text, author_app_id text, created_at timestamp with time zone, key character varying)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_bitmapscan TO 'off'
    AS $$
begin
    return query
    with gone_messages as (
        delete from public.messages as m
        where
            m.session_id = of_session_id
            and m.seq = any(seqs)
        returning
            m.seq,
            m.message,
            m.role,
            m.author_user_id,
            m.author_app_id,
            m.created_at,
            m.key
    ),
    -- the runs that repeat a message as what was asked or answered. A session has one run at a time, so those that were
    -- queued at last before the message was added are enough
    repeated_runs as (
        select
            r.run_id,
            bool_or(r.is_asked and r.place = 1) as is_asked,
            bool_or(r.is_answer) as is_answer
        from gone_messages as g
        cross join lateral (
            select
                t.run_id,
                t.is_asked,
                t.is_answer,
                row_number() over (partition by t.is_asked order by t.queued_at) as place
            from (
                select
                    n.run_id,
                    n.queued_at,
                    case when n.started_at >= g.created_at then n.message = g.message else false end as is_asked,
                    coalesce(g.role = 'assistant', false)
                    and n.started_at <= g.created_at
                    and n.finished_at >= g.created_at as is_answer
                from (
                    select
                        q.run_id,
                        q.queued_at,
                        q.message,
                        q.started_at,
                        q.finished_at
                    from public.runs as q
                    where
                        q.session_id = of_session_id
                        and q.queued_at <= g.created_at
                        and q.started_at is not null
                        and q.finished_at is not null
                    order by q.queued_at desc
                    limit 100
                ) as n
            ) as t
        ) as r
        where
            r.is_asked
            or r.is_answer
        group by r.run_id
    ),
    blanked_lines as (
        update public.session_origin_lines as o
        set
            lines = array(
                select case when l.message_seq = any(seqs) then null else l.line end
                from unnest(o.message_seqs, o.lines) with ordinality as l (message_seq, line, place)
                order by l.place
            )
        where
            o.session_id = of_session_id
            and o.message_seqs && seqs
    ),
    blanked_runs as (
        update public.runs as u
        set
            message = case when r.is_asked then '{}' else u.message end,
            response = case when not r.is_answer then u.response end
        from repeated_runs as r
        where
            u.session_id = of_session_id
            and u.run_id = r.run_id
    ),
    kept_messages as (
        insert into public.retracted_messages as k (
            session_id, seq, message, role, author_user_id, author_app_id, created_at, key, retracted_seq, retracted_at,
            retracted_by_user_id, retracted_by_app_id, erased_at
        )
        select
            of_session_id,
            g.seq,
            case when erases then '{}' else g.message end,
            g.role,
            g.author_user_id,
            g.author_app_id,
            g.created_at,
            g.key,
            event_seq,
            clock_timestamp(),
            by_user_id,
            by_app_id,
            case when erases then clock_timestamp() end
        from gone_messages as g
        returning
            k.seq,
            k.message,
            k.role,
            k.size,
            k.author_user_id,
            k.author_app_id,
            k.created_at,
            k.key
    )
    select
        k.seq,
        k.message,
        k.role,
        k.size,
        k.author_user_id,
        k.author_app_id,
        k.created_at,
        k.key
    from kept_messages as k;
end
$$;
COMMENT ON FUNCTION public.messages_retract(of_session_id text, seqs bigint[], event_seq bigint, by_user_id text, by_app_id text, erases boolean) IS 'Returns messages of a session that it moves to retracted_messages; blanks the runs that repeat them. Works as its owner, because the service may not delete messages';
CREATE FUNCTION public.messages_set_search() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
COMMENT ON FUNCTION public.messages_set_search() IS 'Trigger: derives `role`, `search`, `search_truncated` and `search_revision` from a message';
CREATE FUNCTION public.output_text(value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.output_text(value jsonb) IS 'Returns the words of what a tool returned';
CREATE FUNCTION public.plain_texts(items jsonb, are_calls boolean, OUT is_plain boolean, OUT said text, OUT called text, OUT returned text, OUT thought text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.plain_texts(items jsonb, are_calls boolean, OUT is_plain boolean, OUT said text, OUT called text, OUT returned text, OUT thought text) IS 'Returns the texts of a short list of blocks or calls in the forms of Anthropic and OpenAI, and whether all are';
CREATE FUNCTION public.refuse_value() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
declare
    is_kept boolean := false;
begin
    if tg_op = 'UPDATE' then
        execute format('select $1.%1$I is not distinct from $2.%1$I', tg_argv[0]) into is_kept using old, new;
    end if;
    if not is_kept then
        raise check_violation using
            message = format('%s.%s violates %s', tg_table_name, tg_argv[0], tg_name),
            table = tg_table_name,
            column = tg_argv[0],
            constraint = tg_name;
    end if;
    return new;
end
$_$;
COMMENT ON FUNCTION public.refuse_value() IS 'Trigger: refuses a value over its bound with the error of a CHECK constraint that has the trigger''s name. Its argument is the column, which may keep the value that it has';
CREATE FUNCTION public.request_limit(settings jsonb) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (settings @? 'strict $."rate_limit_requests_per_minute"?(((@.type() == "number" && @ >= 0) && @ <= 1000000) && @ == @.floor())'::jsonpath) THEN (((settings ->> 'rate_limit_requests_per_minute'::text))::numeric)::integer ELSE NULL::integer END;
COMMENT ON FUNCTION public.request_limit(settings jsonb) IS 'Returns the rate limit in an application''s settings, in requests per minute; null if they have no valid one';
CREATE FUNCTION public.result_text(result jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
begin
    return output_text(
        json_given(result, '{output,content,result,response,outputs,results,tools,error,errorText}')
    );
end
$$;
COMMENT ON FUNCTION public.result_text(result jsonb) IS 'Returns the words of a result, under the first of the names that formats have for it';
CREATE FUNCTION public.runs_count_queued(of_session_id text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
begin
    return (select count(*) from public.runs where session_id = of_session_id and status = 'queued');
end
$$;
COMMENT ON FUNCTION public.runs_count_queued(of_session_id text) IS 'Returns how many runs of a session wait, commits during the calling statement included';
CREATE FUNCTION public.runs_count_queued_of_user(of_user_id text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
begin
    perform pg_advisory_xact_lock(hashtextextended('runs of ' || of_user_id, 0));
    return (select count(*) from public.runs where user_id = of_user_id and status = 'queued');
end
$$;
COMMENT ON FUNCTION public.runs_count_queued_of_user(of_user_id text) IS 'Returns how many runs of a user wait in all sessions, and locks this count until the end of the transaction';
CREATE FUNCTION public.runs_count_running(of_session_id text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
begin
    return (select count(*) from public.runs where session_id = of_session_id and status = 'running');
end
$$;
COMMENT ON FUNCTION public.runs_count_running(of_session_id text) IS 'Returns how many runs of a session are running, commits during the calling statement included';
CREATE FUNCTION public.search_apart(value text, filler text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN regexp_replace(regexp_replace(value, '([0-9][0-9])T([0-9][0-9]:)'::text, format('\1%sT%s\2'::text, filler, filler), 'g'::text), '(:[0-9][0-9](?:[.][0-9]+)?)Z'::text, format('\1%sZ'::text, filler), 'g'::text);
COMMENT ON FUNCTION public.search_apart(value text, filler text) IS 'Returns text with `filler` between the parts of times such as 2024-05-20T10:00:00Z';
CREATE FUNCTION public.search_best(marked text[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
declare
    best integer[] := '{}';
    hit integer;
begin
    for hit in
        with hits as materialized (
            select
                place,
                lower(piece) as piece
            from unnest(marked) with ordinality as pieces (piece, place)
            where strpos(piece, E'\uE000') > 0
            order by place
            limit 500
        )
        select h.place
        from hits as h
        inner join hits as n on n.place between h.place and h.place + 48
        group by h.place
        order by
            count(distinct n.piece) desc,
            h.place
    loop
        if not exists (select from unnest(best) as place where hit between place - 60 and place + 60) then
            best := best || hit;
        end if;
        exit when cardinality(best) = 3;
    end loop;
    return coalesce(nullif(best, '{}'), '{13}');
end
$$;
COMMENT ON FUNCTION public.search_best(marked text[]) IS 'Returns the places of at most three hits among marked pieces that have the most different hits around them';
CREATE FUNCTION public.search_cased(value text, filler text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN regexp_replace(regexp_replace(value, '([a-z][0-9]*)([A-Z])'::text, format('\1%s\2'::text, filler), 'g'::text), '([A-Z])([A-Z][a-z]{2})'::text, format('\1%s\2'::text, filler), 'g'::text);
COMMENT ON FUNCTION public.search_cased(value text, filler text) IS 'Returns text with a filler where the case changes within a word';
CREATE FUNCTION public.search_combining() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (('[\u0300-\u036F\u0483-\u0489\u0591-\u05C7\u0610-\u061A\u064B-\u0670\u06D6-\u06ED\u0711-\u0DFF\u0E31-\u0E3A\u0E47-\u0E4E'::text || '\u0EB1-\u0EBC\u0EC8-\u0ECF\u0F00-\u0FFF\u102B-\u109F\u1350-\u13FF\u1700-\u177F'::text) || '\u17B4-\u1DFF\u20D0-\u20FF\u2CEF-\u2DFF\u302A-\u302F\u3099\u309A\uA66F-\uABED\uFB1E\uFE20-\uFE2F\U00010000-\U0001EFFF]'::text);
COMMENT ON FUNCTION public.search_combining() IS 'Returns a regular expression of the blocks that have combining marks';
CREATE FUNCTION public.search_default_language() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'english'::text;
COMMENT ON FUNCTION public.search_default_language() IS 'Returns the text search configuration of sessions that name none; `amplifier-api search reindex` replaces it';
CREATE FUNCTION public.search_distance(first text, second text, most integer) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
    columns constant integer := length(second);
    one constant text[] := string_to_array(first, null);
    two constant text[] := string_to_array(second, null);
    earlier integer[];
    before integer[] := array(select generate_series(0, length(second)));
    current integer[];
    value integer;
begin
    if first = second then
        return 0;
    end if;
    if abs(length(first) - columns) > most or greatest(length(first), columns) > 40 then
        return most + 1;
    end if;
    for line in 1 .. length(first) loop
        current := array[line];
        for place in 1 .. columns loop
            value := least(
                current[place] + 1, before[place + 1] + 1, before[place] + (one[line] <> two[place])::integer
            );
            if line > 1 and place > 1 and one[line] = two[place - 1] and one[line - 1] = two[place] then
                value := least(value, earlier[place - 1] + 1);
            end if;
            current := current || value;
        end loop;
        earlier := before;
        before := current;
    end loop;
    return least(before[columns + 1], most + 1);
end
$$;
COMMENT ON FUNCTION public.search_distance(first text, second text, most integer) IS 'Returns how many characters two words differ in (left out, added, replaced, swapped with the next), `most` + 1 at most';
CREATE FUNCTION public.search_escapes() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '\\(?:\\|[nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})'::text;
COMMENT ON FUNCTION public.search_escapes() IS 'Returns a regular expression of escapes in JSON and Python, such as \n';
CREATE FUNCTION public.search_estimate(query tsquery) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    plan json;
begin
    execute format('explain (format json) select from messages where search @@ %L::tsquery', query) into plan;
    return (plan #>> '{0,Plan,Plan Rows}')::bigint;
end
$$;
COMMENT ON FUNCTION public.search_estimate(query tsquery) IS 'Returns how many messages have the words of a query, as the planner estimates it';
CREATE FUNCTION public.search_estimate(query tsquery, most bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $_$
declare
    matches constant bigint := search_estimate(query);
    counted bigint;
begin
    if query::text like '%'':*%' then
        return case
            when exists (
                select
                from pg_stats
                where
                    schemaname = (select relnamespace::regnamespace::text from pg_class where oid = 'messages'::regclass)
                    and tablename = 'messages'
                    and attname = 'search'
            ) then matches / case when query::text ~ '''[^'']{1,3}'':\*' then 1 else 10 end
        end;
    end if;
    if matches > search_estimate('qxz') * numnode(query) then
        return matches;
    end if;
    execute format('select count(*) from (select from messages where search @@ %L::tsquery limit $1) as m', query)
    into counted
    using most;
    return case when counted < most then counted else greatest(matches, most * 4) end;
end
$_$;
COMMENT ON FUNCTION public.search_estimate(query tsquery, most bigint) IS 'Returns how many messages have the words of a query: from the statistics where they know the words, else counted up to `most`';
CREATE FUNCTION public.search_folded(value text, filler text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
declare
    folded text := regexp_replace(value, search_symbols(), filler, 'g');
begin
    if octet_length(folded) = length(folded) then
        return folded;
    end if;
    if strpos(folded, E'\uFDD0') > 0 then
        folded := regexp_replace(folded, '\uFDD0[0-9a-fA-F]{4}', filler, 'g');
    end if;
    if folded ~ search_invisible() then
        folded := regexp_replace(
            folded, '([\u0620-\u064A\u066E-\u06D3\u0750-\u077F\u08A0-\u08C9])\u200C', '\1' || filler, 'g'
        );
        folded := regexp_replace(folded, search_invisible(), '', 'g');
    end if;
    folded := regexp_replace(folded, search_combining() || '{64}', '\& ', 'g');
    if folded is not nfkc normalized then
        folded := left(normalize(folded, nfkc), 100000);
    end if;
    return folded;
end
$$;
COMMENT ON FUNCTION public.search_folded(value text, filler text) IS 'Returns text normalised (NFKC), without invisible characters, with `filler` in place of symbols';
CREATE FUNCTION public.search_fragments(language regconfig, query tsquery, value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
    terms constant tsquery := search_terms(query);
    part constant text := search_part(
        language,
        query,
        regexp_replace(translate(left(value, 100003), E'\x0f\uE000\uE001', ''), '\uFDD0[0-9a-fA-F]{4}', ' ', 'g')
    );
    pieces text := search_pieces(part, false);
    marked text[] := search_marked(language, terms, pieces);
begin
    if strpos(part, '\') > 0 and strpos(array_to_string(marked, ''), E'\uE000') = 0 then
        pieces := search_pieces(part, true);
        marked := search_marked(language, terms, pieces);
    end if;
    if strpos(array_to_string(marked, ''), E'\uE000') = 0 then
        pieces := search_pieces(search_cased(part, E'\x0f'), false);
        marked := search_marked(language, terms, pieces);
    end if;
    return (
        select string_agg(
            search_restored(
                string_to_array(pieces, E'\x0f'),
                marked,
                terms,
                case when cardinality(marked) > 61 then place - 12 else 1 end,
                greatest(place + 48, 61)
            ),
            ' … ' order by place
        )
        from unnest(search_best(marked)) as place
    );
end
$$;
COMMENT ON FUNCTION public.search_fragments(language regconfig, query tsquery, value text) IS 'Returns the fragments of a text that a query matches, with hits between U+E000 and U+E001, not escaped';
CREATE FUNCTION public.search_headline(language regconfig, query tsquery, value text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT CASE WHEN (length(found.text) <= 1000) THEN found.text ELSE concat(CASE WHEN (found.start > 1) THEN '…'::text ELSE NULL::text END, regexp_replace(substr(found.text, found.start, 990), '[^]*$'::text, '\&'::text), '…') END AS concat FROM (SELECT text.text, GREATEST((strpos(text.text, ''::text) - 300), 1) AS start FROM public.search_fragments(search_headline.language, search_headline.query, search_headline.value) text(text) OFFSET 0) found);
COMMENT ON FUNCTION public.search_headline(language regconfig, query tsquery, value text) IS 'Returns search_fragments in at most 1,000 characters; of longer ones the part around the first hit';
CREATE FUNCTION public.search_invisible() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '[\u00AD\u034F\u180B-\u180E\u200B-\u200D\u2060\uFE00-\uFE0F\uFEFF\U000E0100-\U000E01EF]'::text;
COMMENT ON FUNCTION public.search_invisible() IS 'Returns a regular expression of the characters that have no width and separate no words';
CREATE FUNCTION public.search_language(name text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT ((c.oid)::regconfig)::text AS oid FROM pg_ts_config c WHERE (pg_ts_config_is_visible(c.oid) AND ((((c.oid)::regconfig)::text = search_language.name) OR (c.cfgname = ANY (ARRAY[(search_language.name)::name, (lower(search_language.name))::name, (COALESCE(('{"ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish"}'::jsonb ->> split_part(lower(search_language.name), '-'::text, 1)), lower(search_language.name)))::name])))) LIMIT 1);
COMMENT ON FUNCTION public.search_language(name text) IS 'Returns the text search configuration for a name such as `german`, `de` or `de-AT`, quoted where needed; null for an unknown one';
CREATE FUNCTION public.search_pieces_plain(pieces text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $_$
declare
    plain text := pieces;
begin
    if octet_length(plain) = length(plain) then
        return plain;
    end if;
    plain := search_folded(plain, ' ');
    if plain ~ search_unspaced() then
        plain := translate(plain, E'\x01\x02', '  ');
        plain := regexp_replace(plain, format('(%s)', search_unspaced()), E'\\1\x01\\1', 'g');
        plain := regexp_replace(plain, format(E'(%s)(\x0f?)(%1$s)\x01', search_unspaced()), E'\\1\\3\x02\\2', 'g');
        plain := regexp_replace(plain, format(E'%s\x01', search_unspaced()), '', 'g');
    end if;
    return plain;
end
$_$;
COMMENT ON FUNCTION public.search_pieces_plain(pieces text) IS 'Returns the pieces of search_pieces as they are given to the parser of words';
CREATE FUNCTION public.search_marked(language regconfig, terms tsquery, pieces text) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    RETURN string_to_array(ts_headline(language, public.search_pieces_plain(pieces), terms, 'HighlightAll=true, StartSel=, StopSel='::text), ''::text);
COMMENT ON FUNCTION public.search_marked(language regconfig, terms tsquery, pieces text) IS 'Returns the pieces of search_pieces as an array, normalised, hits between U+E000 and U+E001';
CREATE FUNCTION public.search_matches(reader_id text, typed text, only_owned boolean, of_session_id text, of_config_id text, with_tags jsonb, of_role text, of_author_user_id text, calling_tool text, since timestamp with time zone, until timestamp with time zone) RETURNS TABLE(language text, configuration regconfig, may_write boolean, query tsquery, rank_query tsquery, session_id text, seq bigint, created_at timestamp with time zone, search tsvector)
    LANGUAGE sql STABLE
    AS $$
select
    language,
    configuration,
    may_write,
    query,
    rank_query,
    session_id,
    seq,
    created_at,
    search
from search_matches(
    reader_id,
    typed,
    only_owned,
    of_session_id,
    of_config_id,
    with_tags,
    of_role,
    of_author_user_id,
    calling_tool,
    since,
    until,
    null,
    'infinity',
    '',
    0
)
$$;
COMMENT ON FUNCTION public.search_matches(reader_id text, typed text, only_owned boolean, of_session_id text, of_config_id text, with_tags jsonb, of_role text, of_author_user_id text, calling_tool text, since timestamp with time zone, until timestamp with time zone) IS 'Returns the messages in which typed text is found, and the sessions with it in title or tags (as seq 0), among the sessions of the reader. A filter that is null leaves all';
CREATE FUNCTION public.search_matches(reader_id text, typed text, only_owned boolean, of_session_id text, of_config_id text, with_tags jsonb, of_role text, of_author_user_id text, calling_tool text, since timestamp with time zone, until timestamp with time zone, most bigint, before_created_at timestamp with time zone, before_session_id text, before_seq bigint) RETURNS TABLE(language text, configuration regconfig, may_write boolean, query tsquery, rank_query tsquery, session_id text, seq bigint, created_at timestamp with time zone, search tsvector)
    LANGUAGE sql STABLE
    AS $_$
with recursive all_queries as materialized (
    select *
    from search_queries(typed)
),
rarity as materialized (
    select
        e.matches,
        m.sessions > 100 and e.matches < m.sessions as is_rare
    from (
        select count(*) as sessions
        from (
            select
            from session_participants
            where user_id = reader_id
            limit 5000
        ) as counted_sessions
    ) as m
    cross join lateral (
        select sum(search_estimate(writer_query, m.sessions / 4)) as matches
        from all_queries
        where m.sessions > 100
    ) as e
),
my_sessions as materialized (
    select
        p.session_id,
        s.created_at,
        s.updated_at,
        s.search,
        coalesce(s.search_language, search_default_language()) as language,
        may_send(p.role, p.permissions) as may_write
    from session_participants as p
    cross join lateral (
        select
            config_id,
            tags,
            created_at,
            updated_at,
            search,
            search_language
        from sessions
        where session_id = p.session_id
        offset 0
    ) as s
    where
        p.user_id = reader_id
        and (not only_owned or p.role = 'owner')
        and (select is_rare from rarity) is not true
        and (of_session_id is null or p.session_id = of_session_id)
        and (of_config_id is null or s.config_id = of_config_id)
        and s.tags @> any(array(select jsonb_path_query(with_tags, '$[*]')))
),
my_queries as materialized (
    select
        l.language,
        l.may_write,
        q.configuration,
        v.query,
        case when querytree(v.query) = 'T' then v.query else querytree(v.query)::tsquery end as rank_query,
        f.first_by,
        most is not null
        and (f.first_by = 'sessions' or (select coalesce(matches >= most * 5, true) from rarity)) as is_walked
    from (
        select
            language,
            may_write
        from my_sessions
        group by
            language,
            may_write
        offset 0
    ) as l
    inner join all_queries as q on q.language = l.language
    cross join lateral (
        select case when l.may_write then q.writer_query else q.reader_query end as query
        offset 0
    ) as v
    cross join lateral (
        select
            case
                when querytree(v.query) = 'T' or v.query::text like '%'':*%' then 'sessions'
                else 'both'
            end as first_by
    ) as f
),
session_groups as materialized (
    select
        q.language,
        q.configuration,
        q.may_write,
        q.query,
        q.rank_query,
        q.first_by,
        q.is_walked,
        s.session_ids,
        s.newest,
        row_number() over (partition by q.is_walked order by s.newest desc) as number
    from my_queries as q
    cross join lateral (
        select
            array_agg(n.session_id) as session_ids,
            max(n.updated_at) as newest
        from (
            select
                session_id,
                updated_at,
                row_number() over (order by updated_at desc) as number
            from my_sessions
            where
                language = q.language
                and may_write = q.may_write
        ) as n
        group by case when q.first_by = 'both' or q.is_walked then n.number / 50 end
    ) as s
),
walked_groups as (
    select
        0::bigint as number,
        null::tid[] as places,
        '{}'::timestamptz[] as moments
    union all
    select
        g.number,
        f.places,
        array(select moment from unnest(w.moments || f.moments) as moment order by moment desc limit most)
    from walked_groups as w
    inner join session_groups as g on g.number = w.number + 1 and g.is_walked
    cross join lateral (
        select
            array_agg(m.ctid) as places,
            array_agg(m.created_at) as moments
        from (
            select
                ctid,
                session_id,
                seq,
                role,
                author_user_id,
                created_at,
                message
            from messages
            where
                g.first_by = 'both'
                and array[session_id] && g.session_ids
                and search @@ g.query
            union all
            select m.*
            from unnest(g.session_ids) as s (session_id)
            cross join lateral (
                select
                    ctid,
                    session_id,
                    seq,
                    role,
                    author_user_id,
                    created_at,
                    message
                from messages
                where
                    session_id = s.session_id
                    and (search @@ g.query) is true
                offset 0
            ) as m
            where g.first_by = 'sessions'
        ) as m
        where
            (m.created_at, m.session_id, m.seq) < (before_created_at, before_session_id, before_seq)
            and (of_role is null or m.role = of_role)
            and (of_author_user_id is null or m.author_user_id = of_author_user_id)
            and (since is null or m.created_at >= since)
            and (until is null or m.created_at < until)
            and (calling_tool is null or calling_tool = any(message_tools(m.message)))
    ) as f
    where (w.moments[most::integer] > g.newest) is not true
),
rare_queries as materialized (
    select
        language,
        configuration,
        writer_query,
        reader_query,
        writer_query || reader_query as any_query,
        case when querytree(writer_query) = 'T' then writer_query else querytree(writer_query)::tsquery end as rank_query
    from all_queries
    where (select is_rare from rarity)
),
matches as (
    select
        g.language,
        g.configuration,
        g.may_write,
        g.query,
        g.rank_query,
        m.session_id,
        m.seq,
        m.created_at,
        m.search
    from walked_groups as w
    inner join session_groups as g on g.number = w.number and g.is_walked
    cross join lateral (
        select
            n.session_id,
            n.seq,
            n.created_at,
            n.search
        from unnest(w.places) as p (place)
        cross join lateral (
            select
                session_id,
                seq,
                created_at,
                search
            from messages
            where ctid = p.place
            offset 0
        ) as n
        offset 0
    ) as m
    union all
    select
        g.language,
        g.configuration,
        g.may_write,
        g.query,
        g.rank_query,
        m.session_id,
        m.seq,
        m.created_at,
        m.search
    from session_groups as g
    cross join lateral (
        select
            session_id,
            seq,
            role,
            author_user_id,
            created_at,
            message,
            search
        from messages
        where
            g.first_by = 'both'
            and array[session_id] && g.session_ids
            and search @@ g.query
        union all
        select m.*
        from unnest(g.session_ids) as s (session_id)
        cross join lateral (
            select
                session_id,
                seq,
                role,
                author_user_id,
                created_at,
                message,
                search
            from messages
            where
                session_id = s.session_id
                and (search @@ g.query) is true
            offset 0
        ) as m
        where g.first_by = 'sessions'
    ) as m
    where
        not g.is_walked
        and (of_role is null or m.role = of_role)
        and (of_author_user_id is null or m.author_user_id = of_author_user_id)
        and (since is null or m.created_at >= since)
        and (until is null or m.created_at < until)
        and (calling_tool is null or calling_tool = any(message_tools(m.message)))
    union all
    select
        q.language,
        q.configuration,
        q.may_write,
        q.query,
        q.rank_query,
        s.session_id,
        0 as seq,
        s.created_at,
        s.search
    from my_queries as q
    inner join my_sessions as s on s.language = q.language and s.may_write = q.may_write
    where
        s.search @@ q.query
        and querytree(q.query) <> 'T'
        and of_role is null
        and of_author_user_id is null
        and calling_tool is null
        and (since is null or s.created_at >= since)
        and (until is null or s.created_at < until)
    union all
    select
        q.language,
        q.configuration,
        r.may_write,
        case when r.may_write then q.writer_query else q.reader_query end as query,
        q.rank_query,
        m.session_id,
        m.seq,
        m.created_at,
        m.search
    from rare_queries as q
    cross join lateral (
        select
            session_id,
            seq,
            role,
            author_user_id,
            created_at,
            message,
            search
        from messages
        where search @@ q.any_query
        union all
        select
            session_id,
            0 as seq,
            null as role,
            null as author_user_id,
            created_at,
            null as message,
            search
        from sessions
        where
            search @@ q.any_query
            and querytree(q.writer_query) <> 'T'
    ) as m
    cross join lateral (
        select may_send(p.role, p.permissions) as may_write
        from session_participants as p
        cross join lateral (
            select
                config_id,
                tags,
                search_language
            from sessions
            where session_id = p.session_id
            offset 0
        ) as s
        where
            p.session_id = m.session_id
            and p.user_id = reader_id
            and (not only_owned or p.role = 'owner')
            and (of_session_id is null or p.session_id = of_session_id)
            and (of_config_id is null or s.config_id = of_config_id)
            and s.tags @> any(array(select jsonb_path_query(with_tags, '$[*]')))
            and coalesce(s.search_language, search_default_language()) = q.language
        offset 0
    ) as r
    where
        m.search @@ case when r.may_write then q.writer_query else q.reader_query end
        and (of_role is null or m.role = of_role)
        and (of_author_user_id is null or m.author_user_id = of_author_user_id)
        and (since is null or m.created_at >= since)
        and (until is null or m.created_at < until)
        and (calling_tool is null or calling_tool = any(message_tools(m.message)))
)
select
    language,
    configuration,
    may_write,
    query,
    rank_query,
    session_id,
    seq,
    created_at,
    search
from matches
$_$;
COMMENT ON FUNCTION public.search_matches(reader_id text, typed text, only_owned boolean, of_session_id text, of_config_id text, with_tags jsonb, of_role text, of_author_user_id text, calling_tool text, since timestamp with time zone, until timestamp with time zone, most bigint, before_created_at timestamp with time zone, before_session_id text, before_seq bigint) IS 'Returns the messages in which typed text is found, and the sessions with it in title or tags (as seq 0), among the sessions of the reader, or at least the newest `most` before a position. A filter that is null leaves all';
CREATE FUNCTION public.search_unspaced() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((((('(?:[\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u3096\u309D-\u309F\u30A1-\u30FA\u30FC-\u30FF\u3105-\u312F\u31A0-\u31BF'::text || '\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF][\u3099\u309A]*'::text) || '|[\u0E01-\u0E30\u0E32\u0E33\u0E40-\u0E46][\u0E31\u0E34-\u0E3A\u0E47-\u0E4E]*'::text) || '|[\u0E81-\u0EB0\u0EB2\u0EB3\u0EBD\u0EC0-\u0EC6\u0EDC-\u0EDF][\u0EB1\u0EB4-\u0EBC\u0EC8-\u0ECE]*'::text) || '|[\u1780-\u17B3\u17D7\u17DC](?:\u17D2[\u1780-\u17B3]|[\u17B4-\u17D1\u17D3\u17DD])*'::text) || '|[\u1000-\u102A\u103F\u1050-\u1055](?:\u1039[\u1000-\u102A]|[\u102B-\u1038\u103A-\u103E\u1056-\u1059])*)'::text);
COMMENT ON FUNCTION public.search_unspaced() IS 'Returns a regular expression of a character, with its marks, of scripts without spaces between words';
CREATE FUNCTION public.search_pairs(value text, filler text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN translate(regexp_replace(regexp_replace(regexp_replace(translate(value, ''::text, ' '::text), format('%s+|[\U00020000-\U000323AF]'::text, public.search_unspaced()), format('%s\&%1$s'::text, filler), 'g'::text), format('(%s)'::text, public.search_unspaced()), '\1\1'::text, 'g'::text), format('%s%s'::text, filler, public.search_unspaced()), filler, 'g'::text), ''::text, filler);
COMMENT ON FUNCTION public.search_pairs(value text, filler text) IS 'Returns text with pairs of characters as words where a script has no spaces between words, `filler` between them';
CREATE FUNCTION public.search_part(language regconfig, query tsquery, value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
declare
    terms constant tsquery := search_terms(query);
    part_with_term text;
    part text;
    words tsvector;
begin
    if length(value) <= 5000 then
        return value;
    end if;
    for start in 1 .. length(value) by 4700 loop
        part := substr(value, start, 5000);
        if start > 1 then
            part := regexp_replace(part, '^\S{0,100}', '');
        end if;
        if start + 5000 <= length(value) then
            part := regexp_replace(part, '\S{0,100}$', '');
        end if;
        words := setweight(to_tsvector(language, search_plain(part)), 'A');  -- a reader's query excludes D
        if words @@ query then
            return part;
        end if;
        if part_with_term is null and words @@ terms then
            part_with_term := part;
        end if;
    end loop;
    return coalesce(part_with_term, left(value, 5000));
end
$_$;
COMMENT ON FUNCTION public.search_part(language regconfig, query tsquery, value text) IS 'Returns the first 5,000 characters of a text that a query matches; the beginning if it matches none';
CREATE FUNCTION public.search_parts(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT regexp_replace(lower(public.search_cased(string_agg(cased_words.word, ' '::text ORDER BY cased_words.place), ' '::text)), '\m([a-z]{3,})([0-9]+)\M'::text, '\1 \1\2'::text, 'g'::text) AS regexp_replace FROM (SELECT words.found[1] AS word, min(words.place) AS place FROM regexp_matches(search_parts.value, '[A-Za-z0-9]*(?:[a-z][0-9]*[A-Z]|[A-Z][A-Z][a-z][a-z])[A-Za-z0-9]*'::text, 'g'::text) WITH ORDINALITY words(found, place) WHERE ((length(words.found[1]) <= 60) AND (words.found[1] !~ '[0-9][A-Za-z]+[0-9]+[A-Za-z]'::text)) GROUP BY words.found[1] ORDER BY (min(words.place)) LIMIT 1000) cased_words);
COMMENT ON FUNCTION public.search_parts(value text) IS 'Returns the parts of the words in which the case changes, in lower case; null if there are none';
CREATE FUNCTION public.search_paths() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '(?:^|[^[:alnum:]])(?:[A-Za-z]:|\\\\[[:alnum:]._-]+)\\[^\s\\"''<>|][^\s"''<>|]*'::text;
COMMENT ON FUNCTION public.search_paths() IS 'Returns a regular expression of Windows paths, in which a backslash is no escape';
CREATE FUNCTION public.search_symbols() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((('[\u0080-\u00A9\u00AB\u00AC\u00AE-\u00B4\u00B6-\u00B9\u00BB-\u00BF\u00D7\u00F7\u037E\u0387\u055A-\u055F\u0589\u05BE\u05C0'::text || '\u05C3\u05F3\u05F4\u060C\u061B\u061F\u066A-\u066D\u06D4\u0964\u0965\u2000-\u200A\u200E-\u205F\u2061-\u2125\u2127-\u2129'::text) || '\u212C-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\u303D-\u303F\u30FB\uFE10-\uFE1F\uFE30-\uFE6F\uFF00-\uFF0F'::text) || '\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65\uFFE0-\uFFFF\U0001F000-\U0001FAFF\U000E0000-\U000E00FF]'::text);
COMMENT ON FUNCTION public.search_symbols() IS 'Returns a regular expression of the characters beyond ASCII that separate words';
CREATE FUNCTION public.search_separators() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('[<>&./@+_:~%#=?\\]|'::text || public.search_symbols());
COMMENT ON FUNCTION public.search_separators() IS 'Returns a regular expression of the characters that separate words';
CREATE FUNCTION public.search_pieces(value text, by_escapes boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN replace(regexp_replace(public.search_apart(value, ''::text), concat('(', CASE WHEN by_escapes THEN (public.search_escapes() || '|'::text) ELSE NULL::text END, '[--- !"$''()*,;^`{|}\[\]]+|', CASE WHEN (octet_length(value) = length(value)) THEN '[<>&./@+_:~%#=?\\]'::text ELSE concat(public.search_separators(), '|(?:', public.search_unspaced(), '|[\uFF66-\uFF9D\u1100-\u115F\uA960-\uA97C\u2E80-\u2FDF\u3200-\u33FF\U00020000-\U000323AF])(?:[\u3099\u309A\uFF9E\uFF9F\u1160-\u11FF\uD7B0-\uD7FB]|', public.search_invisible(), ')*') END, ')'), '\1'::text, 'g'::text), ''::text, ''::text);
COMMENT ON FUNCTION public.search_pieces(value text, by_escapes boolean) IS 'Returns text with U+000F between the pieces that a headline marks';
CREATE FUNCTION public.search_plain(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
declare
    plain text := value;
    lines text;
    parts text;
    escape constant text := '(?:^|[^\\])(?:\\\\)*(?!\\\\)' || search_escapes();
begin
    if octet_length(plain) <> length(plain) then
        plain := search_folded(plain, ' ');
    end if;
    if strpos(plain, ':') > 0 then
        plain := search_apart(plain, ' ');
    end if;
    plain := regexp_replace(plain, '[-<>&./@+_:~%#=?\\]', ' ', 'g');
    parts := search_parts(plain);
    plain := lower(plain);
    if octet_length(plain) <> length(plain) and plain ~ concat(search_unspaced(), '|[\U00020000-\U000323AF]') then
        plain := search_pairs(plain, ' ');
    end if;
    if strpos(value, '\') > 0 then
        lines := regexp_replace(value, search_paths(), ' ', 'g');
    end if;
    if lines ~ escape then
        plain := concat(
            plain,
            ' ',
            search_plain(
                left(
                    (
                        select string_agg(regexp_replace(line, search_escapes(), ' ', 'g'), E'\n')
                        from string_to_table(lines, E'\n') as line
                        where line ~ escape
                    ),
                    greatest(100000 - length(value), 0)
                )
            )
        );
    end if;
    return case when parts is null then plain else concat(plain, ' ', parts) end;
end
$$;
COMMENT ON FUNCTION public.search_plain(value text) IS 'Returns text as it is given to the parser of words: normalised, lower case, identifiers and paths in parts';
CREATE FUNCTION public.search_queries(typed text) RETURNS TABLE(language text, configuration regconfig, writer_query tsquery, reader_query tsquery)
    LANGUAGE sql STABLE
    AS $$
with recursive other_languages as (
    select min(search_language) as language
    from sessions
    where search_language is not null
    union all
    select (select min(search_language) from sessions where search_language > o.language)
    from other_languages as o
    where o.language is not null
)
select
    l.language,
    l.configuration,
    t.query as writer_query,
    search_query_within(t.query, 'ABC') as reader_query
from (
    select
        language,
        coalesce(search_language(language), search_default_language())::regconfig as configuration
    from (
        select search_default_language() as language
        union
        select language
        from other_languages
        where language is not null
    ) as languages
    offset 0
) as l
cross join lateral search_query(l.configuration, typed) as t (query)
where numnode(t.query) > 0
$$;
COMMENT ON FUNCTION public.search_queries(typed text) IS 'Returns typed text as a tsquery for each language that sessions are indexed in, for participants who may send and for readers';
CREATE FUNCTION public.search_query(language regconfig, q text) RETURNS tsquery
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
declare
    endings constant text[] :=
        '{"",e,g,l,r,s,n,t,d,y,ce,re,le,ed,er,es,ng,ing,on,ion,tion,nt,ent,ment,ble,able,al,ly,ity,ss,ness,ve,ive,ous}';
    parsed text := translate(q, E'\u201C\u201D\u201E\u00AB\u00BB\u00A0\u202F\u3000', '"""""   ');
    marker text := 'qxz';
    typed text;
    beginning text;
    phrase text;
    stems text;
    found text[] := '{}';
begin
    if octet_length(parsed) <> length(parsed) then
        parsed := search_folded(parsed, '_');
    end if;
    parsed := lower(regexp_replace(search_apart(parsed, '_'), search_separators(), '_', 'g'));
    while strpos(parsed, marker) > 0 loop
        marker := marker || 'z';
    end loop;
    -- dashes within a word part it, those between words and those of `--help` and `-m` are none; others mean `not`
    parsed := regexp_replace(parsed, '([^\s"(-])-+|(?:^|\s)-+(?=\s|$)', '\1_', 'g');
    parsed := regexp_replace(parsed, '--+', '', 'g');
    parsed := regexp_replace(parsed, '(^|\s)-([a-z0-9])(?=\s|$)', '\1\2', 'g');
    if octet_length(parsed) <> length(parsed) and parsed ~ concat(search_unspaced(), '|[\U00020000-\U000323AF]') then
        parsed := search_query_pairs(parsed);
    end if;
    loop
        typed := substring(parsed from '([^\s"*(-][^\s"*]*)\*(?![[:alnum:]\u00AA-\U0010FFFF])');
        exit when typed is null or cardinality(found) = 20;
        beginning := regexp_replace(typed, '[^[:alnum:]\u00AA-\U0010FFFF]+$', '');
        phrase := phraseto_tsquery(language, beginning || marker)::text;
        phrase := case
            when phrase ~ format('[^'']%s''$', marker) then regexp_replace(phrase, marker || '''$', ''':*')
            else regexp_replace(phraseto_tsquery('simple', beginning)::text, '''$', ''':*')
        end;
        stems := (
            select string_agg(format(' | %L', lexeme), '')
            from unnest(
                to_tsvector(language, (select string_agg(beginning || ending, ' ') from unnest(endings) as ending))
            )
            where
                beginning ~ '^[[:alpha:]]{3,}$'
                and lexeme <> beginning
                and (
                    starts_with(beginning, lexeme)
                    or lexeme = any(tsvector_to_array(to_tsvector(language, beginning)))
                )
        );
        if phrase <> '' then
            found := found || format('( %s%s )', phrase, stems);
        end if;
        parsed := overlay(
            parsed placing case
                when phrase = '' then ' '
                else format('%s%s%1$s ', marker, translate(cardinality(found)::text, '0123456789', 'abcdefghij'))
            end
            from strpos(parsed, typed || '*') for length(typed) + 1
        );
    end loop;
    parsed := websearch_to_tsquery(language, parsed)::text;
    for number in 1 .. cardinality(found) loop
        parsed := replace(
            parsed, format('''%s%s%1$s''', marker, translate(number::text, '0123456789', 'abcdefghij')), found[number]
        );
    end loop;
    if strpos(q, '\') > 0 and strpos(parsed, '!') = 0 and q ~ ('(?:^|[^\\])(?:\\\\)*(?!\\\\)' || search_escapes()) then
        return parsed::tsquery || search_query(language, regexp_replace(q, search_escapes(), '_', 'g'));
    end if;
    return parsed::tsquery;
end
$_$;
COMMENT ON FUNCTION public.search_query(language regconfig, q text) IS 'Returns typed text (words, "phrases", or, -not, beginnings*) as a tsquery; never fails, and is empty without a word';
CREATE FUNCTION public.search_query_pairs(typed text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT string_agg(regexp_replace(regexp_replace(public.search_pairs(parts.part, '_'::text), format('(%s)_%1$s_[_*]*(?=%s)'::text, public.search_unspaced(), parts.part_end), '\1'::text, 'g'::text), format('_(%s)_[_*]*(?=%s)'::text, public.search_unspaced(), parts.part_end), '_\1*'::text, 'g'::text), '"'::text ORDER BY parts.number) AS string_agg FROM (SELECT p.part, p.number, CASE WHEN ((p.number % (2)::bigint) = 0) THEN '[^[:alnum:]\u00AA-\U0010FFFF]*$'::text ELSE '[^[:alnum:]\u00AA-\U0010FFFF\s()]*(?:[\s()]|$)'::text END AS part_end FROM unnest(string_to_array(search_query_pairs.typed, '"'::text)) WITH ORDINALITY p(part, number)) parts);
COMMENT ON FUNCTION public.search_query_pairs(typed text) IS 'Returns typed text with pairs of characters joined by `_` where a script has no spaces between words';
CREATE FUNCTION public.search_query_within(query tsquery, weights text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (regexp_replace((query)::text, '(''(?:[^'']|'''')*'')(?::(\*))?'::text, ('\1:\2'::text || weights), 'g'::text))::tsquery;
COMMENT ON FUNCTION public.search_query_within(query tsquery, weights text) IS 'Returns a query that finds its words with the given weights only';
CREATE FUNCTION public.search_restored(pieces text[], marked text[], terms tsquery, first_place integer, last_place integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT CASE WHEN ((joined_pieces.joined <> ''::text) AND (strpos(joined_pieces.joined, ''::text) = 0) AND (translate(joined_pieces.joined, ''::text, ''::text) = array_to_string((search_restored.pieces)[GREATEST(search_restored.first_place, 1):search_restored.last_place], ''::text))) THEN btrim(replace(joined_pieces.joined, ''::text, ''::text), ' 
	
'::text) ELSE (SELECT btrim(replace(string_agg(CASE WHEN (((marked_pieces.plain <> marked_pieces.piece) AND (strpos(marked_pieces.mark, ''::text) > 0)) OR ((strpos(marked_pieces.mark, ''::text) = 0) AND marked_pieces.is_marked_before)) THEN concat('', marked_pieces.piece, '') WHEN (marked_pieces.plain = marked_pieces.piece) THEN marked_pieces.mark ELSE marked_pieces.piece END, ''::text ORDER BY marked_pieces.place), ''::text, ''::text), ' 
	
'::text) AS btrim FROM (SELECT shown_pieces.place, shown_pieces.piece, shown_pieces.mark, shown_pieces.plain, lag(((shown_pieces.plain <> shown_pieces.piece) AND (strpos((search_restored.terms)::text, lower(format('''%s'''::text, "substring"(shown_pieces.mark, '([^]+)$'::text)))) > 0))) OVER (ORDER BY shown_pieces.place) AS is_marked_before FROM (SELECT place.place, (search_restored.pieces)[place.place] AS piece, (search_restored.marked)[place.place] AS mark, translate((search_restored.marked)[place.place], ''::text, ''::text) AS plain FROM generate_series(GREATEST(search_restored.first_place, 1), LEAST(search_restored.last_place, cardinality(search_restored.pieces))) place(place)) shown_pieces) marked_pieces) END AS btrim FROM (SELECT array_to_string((search_restored.marked)[GREATEST(search_restored.first_place, 1):search_restored.last_place], ''::text) AS joined OFFSET 0) joined_pieces);
COMMENT ON FUNCTION public.search_restored(pieces text[], marked text[], terms tsquery, first_place integer, last_place integer) IS 'Returns pieces from one place to another as text, as it was stored, with the marks that it has when normalised';
CREATE FUNCTION public.search_revision(language text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (language || '/4'::text);
COMMENT ON FUNCTION public.search_revision(language text) IS 'Returns the value of `search_revision` for rows that are indexed in a language now';
CREATE FUNCTION public.search_score(kind_rank real, spelled double precision, is_phrase boolean, word_count integer, kind double precision, stem double precision, in_order double precision, saturation double precision, length double precision, fewest integer, usual integer) RETURNS double precision
    LANGUAGE sql IMMUTABLE
    AS $$
select greatest(kind_rank, 1e-6)::double precision ^ kind
    * (stem + (1 - stem) * coalesce(spelled, 1)) ^ 2
    * (1 + in_order * (is_phrase is true)::integer) / (1 + in_order)
    / (1 + saturation * (1 - length + length * greatest(word_count, fewest) / usual))
$$;
COMMENT ON FUNCTION public.search_score(kind_rank real, spelled double precision, is_phrase boolean, word_count integer, kind double precision, stem double precision, in_order double precision, saturation double precision, length double precision, fewest integer, usual integer) IS 'Returns the rank of one of the best hits of a search by kind, spelling, order and number of words, above 0 and below 1';
CREATE FUNCTION public.search_spelling(typed text, OUT words text[], OUT phrase text) RETURNS record
    LANGUAGE sql IMMUTABLE
    AS $_$
select
    coalesce(
        array_agg(
            case
                when is_unspaced then word
                else format('(?:^|[^[:alnum:]]|\\[nt])%s(?:$|[^[:alnum:]])%s', word, joined)
            end
            order by place
        ),
        '{}'
    ),
    case
        when count(*) > 1 and not bool_or(is_unspaced) then format(
            '(?:^|[^[:alnum:]]|\\[nt])%s(?:$|[^[:alnum:]])%s',
            string_agg(word, '(?:[^[:alnum:]]|\\[nt])+' order by place),
            min(joined)
        )
    end
from (
    select
        *,
        case
            when count(*) over () between 2 and 3 and not bool_or(is_unspaced) over ()
                then '|' || string_agg(word, '') over (order by place rows between unbounded preceding and unbounded following)
        end as joined
    from (
        select
            concat(found[1], case when found[2] <> '' then '[[:alnum:]]*' end) as word,
            octet_length(found[1]) <> length(found[1]) and found[1] ~ search_unspaced() as is_unspaced,
            place
        from regexp_matches(
            regexp_replace(lower(typed), '(?:^|\s)-(?![-\s])(?:"[^"]*"?|\S+)|\mor\M', ' ', 'g'), '([[:alnum:]]+)(\*?)', 'g'
        ) with ordinality as parts (found, place)
        limit 10
    ) as typed_words
) as words_of_all
$_$;
COMMENT ON FUNCTION public.search_spelling(typed text, OUT words text[], OUT phrase text) IS 'Returns regular expressions for typed words that are not excluded, and for these words in this order';
CREATE FUNCTION public.search_terms(query tsquery) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT (COALESCE(string_agg(terms.term, ' | '::text ORDER BY terms.place), ''::text))::tsquery AS "coalesce" FROM (SELECT (matches.found[2] || COALESCE(matches.found[3], ''::text)) AS term, min(matches.place) AS place FROM regexp_matches(CASE WHEN (querytree(search_terms.query) = 'T'::text) THEN (search_terms.query)::text ELSE querytree(search_terms.query) END, '(!)?(''(?:[^'']|'''')*'')(:[*])?'::text, 'g'::text) WITH ORDINALITY matches(found, place) WHERE (matches.found[1] IS NULL) GROUP BY (matches.found[2] || COALESCE(matches.found[3], ''::text)) ORDER BY (min(matches.place)) LIMIT 100) terms);
COMMENT ON FUNCTION public.search_terms(query tsquery) IS 'Returns the words and beginnings of a query that are not excluded, joined by `or`, at most 100';
CREATE FUNCTION public.session_text(title text, tags jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN concat_ws('
'::text, title, (SELECT string_agg(((jsonb_each_text.key || ' '::text) || jsonb_each_text.value), '
'::text) AS string_agg FROM jsonb_each_text(CASE WHEN (jsonb_typeof(session_text.tags) = 'object'::text) THEN session_text.tags ELSE NULL::jsonb END) jsonb_each_text(key, value)));
COMMENT ON FUNCTION public.session_text(title text, tags jsonb) IS 'Returns what is searched of a session besides its messages: its title and its tags';
CREATE FUNCTION public.sessions_drop_config() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    delete from configs as c
    where
        c.config_id = old.config_id
        and c.copied_from_config_id is not null
        and not exists (
            select
            from sessions
            where config_id = old.config_id
        );
    return null;
end
$$;
COMMENT ON FUNCTION public.sessions_drop_config() IS 'Trigger: deletes the copy of a config together with the last session that uses it';
CREATE FUNCTION public.sessions_keep_config() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
    kept_config_id text;
begin
    insert into configs (config_id, name, description, config_json, tags, version, copied_from_config_id)
    select
        -- a uuid of version 4 by its shape; the same for the same hand-over
        overlay(overlay(left(hash, 32) placing '4' from 13) placing '8' from 17)::uuid::text,
        name,
        description,
        config_json,
        tags,
        version,
        config_id
    from configs
    cross join encode(sha256(convert_to(concat_ws(' ', new.session_id, new.config_id, new.last_seq), 'UTF8')), 'hex') as hash
    where
        config_id = new.config_id
        and user_id <> new.owner_user_id
    returning config_id into kept_config_id;
    new.config_id := coalesce(kept_config_id, new.config_id);
    return new;
end
$$;
COMMENT ON FUNCTION public.sessions_keep_config() IS 'Trigger: gives a session whose owner changes a copy of its config that belongs to nobody';
CREATE FUNCTION public.sessions_refresh_search(INOUT after_session_id text, most bigint, OUT scanned bigint, OUT refreshed bigint, OUT skipped bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
begin
    with next as materialized (
        select
            session_id,
            search_revision is distinct from search_revision(
                coalesce(search_language(search_language), search_default_language())
            ) as is_stale
        from sessions
        where session_id > after_session_id
        order by session_id
        limit most
    ),
    locked as (
        select session_id
        from sessions
        where session_id in (select session_id from next where is_stale)
        for no key update skip locked
    ),
    refreshed_sessions as (
        update sessions as s
        set search_revision = null
        from locked as l
        where s.session_id = l.session_id
        returning s.session_id
    )
    select
        max(session_id),
        count(*),
        (select count(*) from refreshed_sessions),
        count(*) filter (where is_stale) - (select count(*) from refreshed_sessions)
    into after_session_id, scanned, refreshed, skipped
    from next;
end
$$;
COMMENT ON FUNCTION public.sessions_refresh_search(INOUT after_session_id text, most bigint, OUT scanned bigint, OUT refreshed bigint, OUT skipped bigint) IS 'Indexes the next sessions again whose words are of another language or revision; used by `amplifier-api search reindex`';
CREATE FUNCTION public.sessions_set_search() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
    language text;
begin
    if new.search_revision is null or new.metadata is distinct from old.metadata then
        new.search_language := search_language(
            coalesce(
                new.metadata ->> 'language',
                (select config_json #>> '{metadata,language}' from configs where config_id = new.config_id)
            )
        );
    end if;
    language := coalesce(search_language(new.search_language), search_default_language());
    new.search := setweight(
        to_tsvector(language::regconfig, search_plain(left(session_text(new.title, new.tags), 100000))), 'A'
    );
    new.search_revision := search_revision(language);
    return new;
end
$$;
COMMENT ON FUNCTION public.sessions_set_search() IS 'Trigger: derives `search`, `search_language` and `search_revision` of a session from title, tags and language';
CREATE FUNCTION public.set_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.updated_at := clock_timestamp();
    return new;
end
$$;
COMMENT ON FUNCTION public.set_updated_at() IS 'Trigger: sets `updated_at` to the time of the change';
CREATE FUNCTION public.states_lock(of_app_id text, of_user_id text, with_application boolean, with_user boolean) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
begin
    if with_application then
        insert into application_states (app_id) values (of_app_id) on conflict do nothing;
        perform from application_states where app_id = of_app_id for no key update;
    end if;
    if with_user then
        insert into user_states (user_id, app_id) values (of_user_id, of_app_id) on conflict do nothing;
        perform from user_states where user_id = of_user_id and app_id = of_app_id for no key update;
    end if;
    return true;
end
$$;
COMMENT ON FUNCTION public.states_lock(of_app_id text, of_user_id text, with_application boolean, with_user boolean) IS 'Locks the documents of an application and of a user, in this order, and makes those that are missing. Call it before other rows are locked';
CREATE FUNCTION public.states_patch(of_session_id text, of_app_id text, of_user_id text, patches jsonb, OUT state jsonb, OUT session_version bigint, OUT session_names text[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
declare
    former jsonb;
    latter jsonb;
begin
    update application_states as s
    set
        document = merge_patch(s.document, patches -> 'application'),
        version = s.version + 1,
        updated_at = clock_timestamp()
    where
        s.app_id = of_app_id
        and merge_patch(s.document, patches -> 'application') <> s.document;
    update user_states as s
    set
        document = merge_patch(s.document, patches -> 'user'),
        version = s.version + 1,
        updated_at = clock_timestamp()
    where
        s.user_id = of_user_id
        and s.app_id = of_app_id
        and merge_patch(s.document, patches -> 'user') <> s.document;
    if patches ? 'session' then
        insert into session_states (session_id) values (of_session_id) on conflict do nothing;
        select s.document into former from session_states as s where s.session_id = of_session_id;
        latter := merge_patch(former, patches -> 'session');
        if latter <> former then
            update session_states as s
            set
                document = latter,
                version = s.version + 1,
                updated_at = clock_timestamp()
            where s.session_id = of_session_id
            returning s.version into session_version;
            session_names := array(
                select p.key
                from jsonb_object_keys(patches -> 'session') as p (key)
                where latter -> p.key is distinct from former -> p.key
                order by p.key
            );
        end if;
    end if;
    select jsonb_object_agg(r.scope, jsonb_build_object('document', r.document, 'version', r.version))
    into state
    from states_read(of_session_id, of_app_id, of_user_id) as r
    where patches ? r.scope;
end
$$;
COMMENT ON FUNCTION public.states_patch(of_session_id text, of_app_id text, of_user_id text, patches jsonb, OUT state jsonb, OUT session_version bigint, OUT session_names text[]) IS 'Merges patches by scope into the documents; raises the version of each that changes. The caller holds the locks of `states_lock` and that of the session''s row. Returns the documents of the scopes named, and the version and the changed names of the session''s, null unless it changed';
CREATE FUNCTION public.states_read(of_session_id text, of_app_id text, of_user_id text) RETURNS TABLE(scope text, document jsonb, version bigint, updated_at timestamp with time zone)
    LANGUAGE sql
    AS $$
    select
        s.scope,
        coalesce(d.document, '{}'),
        coalesce(d.version, 0),
        case when d.version > 0 then d.updated_at end
    from (values ('application'), ('session'), ('user')) as s (scope)
    left join (
        select
            'application' as scope,
            document,
            version,
            updated_at
        from application_states
        where app_id = of_app_id
        union all
        select
            'session',
            document,
            version,
            updated_at
        from session_states
        where session_id = of_session_id
        union all
        select
            'user',
            document,
            version,
            updated_at
        from user_states
        where
            user_id = of_user_id
            and app_id = of_app_id
    ) as d on d.scope = s.scope
$$;
COMMENT ON FUNCTION public.states_read(of_session_id text, of_app_id text, of_user_id text) IS 'Returns the documents of an application, of a session and of a user in the application, one row each; version 0 if there is none';
CREATE FUNCTION public.take_number_by_hand() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
COMMENT ON FUNCTION public.take_number_by_hand() IS 'Trigger: gives a message or event that another role than the service''s inserts the next number of the session''s clock';
CREATE FUNCTION public.thinking_text(value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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
COMMENT ON FUNCTION public.thinking_text(value jsonb) IS 'Returns what was thought; empty if it is sealed, null if the value is no thinking';
CREATE FUNCTION public.usage_number(numbers jsonb, member text) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (jsonb_typeof((numbers -> member)) = 'number'::text) THEN LEAST(GREATEST(((numbers -> member))::numeric, (0)::numeric), ('1000000000000'::bigint)::numeric) ELSE (0)::numeric END;
COMMENT ON FUNCTION public.usage_number(numbers jsonb, member text) IS 'Returns a number of a JSON object of numbers, between 0 and 10^12; 0 if it has none';
CREATE TABLE public.application_keys (
    app_id character varying(100) NOT NULL COLLATE pg_catalog."C",
    key_id text NOT NULL COLLATE pg_catalog."C",
    name character varying(255) NOT NULL,
    api_key_hash text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT application_keys_api_key_hash_check CHECK ((api_key_hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT application_keys_name_check CHECK (((name)::text <> ''::text))
);
COMMENT ON TABLE public.application_keys IS 'Keys of applications, several for each. Written by the service; a trigger of applications writes the key named `default`.';
COMMENT ON COLUMN public.application_keys.app_id IS 'The application';
COMMENT ON COLUMN public.application_keys.key_id IS 'First characters of the key, which find its row; not secret';
COMMENT ON COLUMN public.application_keys.name IS 'Name of the key, unique in its application';
COMMENT ON COLUMN public.application_keys.api_key_hash IS 'SHA-256 of the key, in hexadecimal; the key itself is not stored';
COMMENT ON COLUMN public.application_keys.created_at IS 'Time when the key was made, or last replaced';
COMMENT ON COLUMN public.application_keys.expires_at IS 'Time from which the key is refused, null for never';
COMMENT ON COLUMN public.application_keys.last_used_at IS 'Time of the last request with the key, at most a minute late; null until then';
CREATE TABLE public.application_states (
    app_id text NOT NULL COLLATE pg_catalog."C",
    document jsonb DEFAULT '{}'::jsonb NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT application_states_app_id_length_check CHECK ((length(app_id) <= 255)),
    CONSTRAINT application_states_document_check CHECK ((jsonb_typeof(document) = 'object'::text)),
    CONSTRAINT application_states_document_depth_check CHECK ((NOT (document @? '$.**{64}'::jsonpath)))
);
COMMENT ON TABLE public.application_states IS 'Documents of applications, one row per application that has one. Written by the service, also by appends; all users of the application read it.';
COMMENT ON COLUMN public.application_states.app_id IS 'The application';
COMMENT ON COLUMN public.application_states.document IS 'A JSON object of at most 64 kB as text';
COMMENT ON COLUMN public.application_states.version IS 'Number of changes; 0 as long as the document is empty and was never changed';
COMMENT ON COLUMN public.application_states.updated_at IS 'Time of the last change, kept by statements or a trigger';
CREATE TABLE public.applications (
    app_id character varying(100) NOT NULL COLLATE pg_catalog."C",
    app_name character varying(255) NOT NULL,
    api_key_hash text NOT NULL,
    api_key_prefix text NOT NULL COLLATE pg_catalog."C",
    is_active boolean DEFAULT true NOT NULL,
    is_admin boolean DEFAULT false NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    key_managers text[] DEFAULT '{}'::text[] NOT NULL,
    act_as boolean DEFAULT false NOT NULL,
    CONSTRAINT applications_api_key_hash_check CHECK ((api_key_hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT applications_app_id_check CHECK (((app_id)::text ~ '^[a-z0-9-]+$'::text)),
    CONSTRAINT applications_app_name_check CHECK (((app_name)::text <> ''::text)),
    CONSTRAINT applications_settings_check CHECK ((jsonb_typeof(settings) = 'object'::text)),
    CONSTRAINT applications_settings_depth_check CHECK ((NOT (settings @? '$.**{64}'::jsonpath)))
);
COMMENT ON TABLE public.applications IS 'Applications, which call the API with a key. Written by the service and by `amplifier-api applications`; processes forget the keys of a changed row at once.';
COMMENT ON COLUMN public.applications.app_id IS 'Name of the application, chosen by the admin that registered it: a-z, 0-9 and `-`';
COMMENT ON COLUMN public.applications.app_name IS 'Name for people';
COMMENT ON COLUMN public.applications.api_key_hash IS 'SHA-256 of the key named `default`, in hexadecimal; a trigger copies it to application_keys';
COMMENT ON COLUMN public.applications.api_key_prefix IS 'First characters of the key named `default`, which find its row among all keys; not secret';
COMMENT ON COLUMN public.applications.is_active IS 'False while the application is disabled: its keys get 401, its streams end';
COMMENT ON COLUMN public.applications.is_admin IS 'True for applications that may manage the others, settings and the audit log';
COMMENT ON COLUMN public.applications.settings IS 'Settings of the application, a JSON object of at most 64 kB. The service reads `rate_limit_requests_per_minute`';
COMMENT ON COLUMN public.applications.created_at IS 'Time of the registration';
COMMENT ON COLUMN public.applications.updated_at IS 'Time of the last change, kept by a trigger';
COMMENT ON COLUMN public.applications.key_managers IS 'user_ids of those who may replace and remove the keys, besides admin applications';
COMMENT ON COLUMN public.applications.act_as IS 'True if its keys may act for users that requests name in X-User-ID, without their tokens';
CREATE TABLE public.attachment_chunks (
    session_id text NOT NULL COLLATE pg_catalog."C",
    sha256 text NOT NULL COLLATE pg_catalog."C",
    start bigint NOT NULL,
    data bytea NOT NULL,
    CONSTRAINT attachment_chunks_data_check CHECK (((octet_length(data) >= 1) AND (octet_length(data) <= 1048576)))
);
ALTER TABLE ONLY public.attachment_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE public.attachment_chunks IS 'Content of attachments, in parts';
COMMENT ON COLUMN public.attachment_chunks.session_id IS 'The session';
COMMENT ON COLUMN public.attachment_chunks.sha256 IS 'The attachment';
COMMENT ON COLUMN public.attachment_chunks.start IS 'Place of the first byte of the part in the content';
COMMENT ON COLUMN public.attachment_chunks.data IS 'The part, at most 1 MiB';
CREATE TABLE public.attachment_removals (
    location text NOT NULL COLLATE pg_catalog."C",
    due_at timestamp with time zone NOT NULL,
    CONSTRAINT attachment_removals_location_length_check CHECK ((length(location) <= 255))
);
COMMENT ON TABLE public.attachment_removals IS 'Blobs in Azure Blob Storage that may be without an attachment. A background job deletes those that are.';
COMMENT ON COLUMN public.attachment_removals.location IS 'Name of the blob';
COMMENT ON COLUMN public.attachment_removals.due_at IS 'Time from which on the blob is deleted if no attachment has it';
CREATE TABLE public.attachments (
    session_id text NOT NULL COLLATE pg_catalog."C",
    sha256 text NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    content_type text NOT NULL,
    name text,
    location text COLLATE pg_catalog."C",
    created_by_user_id text NOT NULL COLLATE pg_catalog."C",
    created_by_app_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    checked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    referenced_seq bigint,
    CONSTRAINT attachments_name_length_check CHECK ((GREATEST(length(content_type), length(name), length(location), length(created_by_user_id), length(created_by_app_id)) <= 255)),
    CONSTRAINT attachments_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT attachments_size_check CHECK (((size >= 1) AND (size <= 1073741824)))
);
COMMENT ON TABLE public.attachments IS 'Files of sessions, one row per content and session. Messages refer to them by amplifier:sha256/ and the hash. The service deletes those that no message refers to.';
COMMENT ON COLUMN public.attachments.session_id IS 'The session';
COMMENT ON COLUMN public.attachments.sha256 IS 'SHA-256 of the content, in hexadecimal';
COMMENT ON COLUMN public.attachments.size IS 'Length of the content in bytes';
COMMENT ON COLUMN public.attachments.content_type IS 'Media type, as it was sent';
COMMENT ON COLUMN public.attachments.name IS 'Name of the file, as it was sent, or null';
COMMENT ON COLUMN public.attachments.location IS 'Name of the blob with the content in Azure Blob Storage; null if the content is in attachment_chunks';
COMMENT ON COLUMN public.attachments.created_by_user_id IS 'The user that sent the file, or that forked the session with it';
COMMENT ON COLUMN public.attachments.created_by_app_id IS 'The application that the file was sent through';
COMMENT ON COLUMN public.attachments.created_at IS 'Time when the file was stored';
COMMENT ON COLUMN public.attachments.checked_at IS 'Time when the file was sent last, or when messages were searched for it last';
COMMENT ON COLUMN public.attachments.referenced_seq IS 'Number of a message that refers to the file, as found by the last search; or null';
CREATE TABLE public.audit_log (
    audit_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    app_id text NOT NULL COLLATE pg_catalog."C",
    action text NOT NULL COLLATE pg_catalog."C",
    target_type text NOT NULL COLLATE pg_catalog."C",
    target_id text COLLATE pg_catalog."C",
    details jsonb NOT NULL,
    address text,
    request_id text COLLATE pg_catalog."C"
);
COMMENT ON TABLE public.audit_log IS 'Changes that were made through the service, one row per request. Rows are only added, in the transaction of the change; the owner of the database deletes old ones.';
COMMENT ON COLUMN public.audit_log.audit_id IS 'Number of the entry, in the order of insertion, with gaps';
COMMENT ON COLUMN public.audit_log.created_at IS 'Time when the transaction of the change began';
COMMENT ON COLUMN public.audit_log.user_id IS 'The user that made the change';
COMMENT ON COLUMN public.audit_log.app_id IS 'The application that the change was made through';
COMMENT ON COLUMN public.audit_log.action IS 'The operation, by its operation_id in the OpenAPI document, such as `delete_session`';
COMMENT ON COLUMN public.audit_log.target_type IS 'Kind of what was changed: session, config, application, setting or user';
COMMENT ON COLUMN public.audit_log.target_id IS 'Its id, null if the operation has no single target';
COMMENT ON COLUMN public.audit_log.details IS 'Whatever else identifies the target or the change, a JSON object without secrets';
COMMENT ON COLUMN public.audit_log.address IS 'IP address of the client, or of the proxy if FORWARDED_ALLOW_IPS does not name it';
COMMENT ON COLUMN public.audit_log.request_id IS 'The X-Request-ID of the request, as in the log';
ALTER TABLE public.audit_log ALTER COLUMN audit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_log_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.config_versions (
    config_id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    name character varying(255) NOT NULL,
    description text,
    config_json jsonb NOT NULL,
    tags jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE public.config_versions IS 'Former versions of configs. A trigger of configs writes them, also after a change by hand; the service adds and reads them only.';
COMMENT ON COLUMN public.config_versions.config_id IS 'The config';
COMMENT ON COLUMN public.config_versions.version IS 'Number of the version, from 1';
COMMENT ON COLUMN public.config_versions.name IS 'The name that the config had';
COMMENT ON COLUMN public.config_versions.description IS 'The description that the config had';
COMMENT ON COLUMN public.config_versions.config_json IS 'The config_json that the config had, with secrets encrypted as they were stored';
COMMENT ON COLUMN public.config_versions.tags IS 'The tags that the config had';
COMMENT ON COLUMN public.config_versions.created_at IS 'Time since which the config was in this version: its updated_at of then';
CREATE TABLE public.configs (
    config_id text NOT NULL COLLATE pg_catalog."C",
    name character varying(255) NOT NULL,
    description text,
    config_json jsonb NOT NULL,
    user_id text COLLATE pg_catalog."C",
    tags jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    copied_from_config_id text COLLATE pg_catalog."C",
    CONSTRAINT configs_config_json_check CHECK ((jsonb_typeof(config_json) = 'object'::text)),
    CONSTRAINT configs_config_json_depth_check CHECK ((NOT (config_json @? '$.**{64}'::jsonpath))),
    CONSTRAINT configs_name_check CHECK (((name)::text <> ''::text)),
    CONSTRAINT configs_tags_check CHECK ((jsonb_typeof(tags) = 'object'::text))
);
COMMENT ON TABLE public.configs IS 'Configs of agents. Written by the service for their owners.';
COMMENT ON COLUMN public.configs.config_id IS 'Id of the config, a uuid if the service made it';
COMMENT ON COLUMN public.configs.name IS 'Name for people';
COMMENT ON COLUMN public.configs.description IS 'Text of at most 10,000 characters, or null';
COMMENT ON COLUMN public.configs.config_json IS 'The config, a JSON object of at most 1 MB: `bundle`, `providers`, `tools` and more. Secrets are encrypted (`enc:...`) if CONFIG_ENCRYPTION_KEY was set';
COMMENT ON COLUMN public.configs.user_id IS 'The owner, the only user that sees the config; null for a copy that belongs to a session whose owner changed';
COMMENT ON COLUMN public.configs.tags IS 'Tags, a JSON object of texts';
COMMENT ON COLUMN public.configs.created_at IS 'Time when the config was made';
COMMENT ON COLUMN public.configs.updated_at IS 'Time of the last change, kept by a trigger';
COMMENT ON COLUMN public.configs.version IS 'Number of the present version, from 1; a trigger counts it up. It is the ETag';
COMMENT ON COLUMN public.configs.copied_from_config_id IS 'For a copy that belongs to a session: the config that it was copied from, for whose id the secrets are encrypted. Else null';
CREATE TABLE public.configuration (
    key text NOT NULL COLLATE pg_catalog."C",
    value jsonb NOT NULL,
    scope text DEFAULT 'global'::text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT configuration_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255))),
    CONSTRAINT configuration_scope_check CHECK (((length(scope) >= 1) AND (length(scope) <= 100))),
    CONSTRAINT configuration_value_depth_check CHECK ((NOT (value @? '$.**{64}'::jsonpath)))
);
COMMENT ON TABLE public.configuration IS 'Settings of the deployment that applications share. Written by the service for admin applications, and not read by it.';
COMMENT ON COLUMN public.configuration.key IS 'Name of the setting';
COMMENT ON COLUMN public.configuration.value IS 'Value, any JSON of at most 64 kB';
COMMENT ON COLUMN public.configuration.scope IS 'Scope that the writer gave, by default `global`';
COMMENT ON COLUMN public.configuration.updated_at IS 'Time of the last change, kept by a trigger';
CREATE TABLE public.embedding_models (
    model text NOT NULL COLLATE pg_catalog."C",
    dimensions bigint NOT NULL,
    is_indexed boolean NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT embedding_models_dimensions_check CHECK (((dimensions >= 1) AND (dimensions <= 4000))),
    CONSTRAINT embedding_models_model_length_check CHECK ((length(model) <= 255))
);
COMMENT ON TABLE public.embedding_models IS 'The model that messages are embedded by, one row; none while the search by meaning is off. message_embeddings_enable writes it.';
COMMENT ON COLUMN public.embedding_models.model IS 'Model, as SEARCH_EMBEDDINGS names it';
COMMENT ON COLUMN public.embedding_models.dimensions IS 'Length of its vectors';
COMMENT ON COLUMN public.embedding_models.is_indexed IS 'True if pgvector keeps the vectors, false if they are arrays that are compared one by one';
COMMENT ON COLUMN public.embedding_models.created_at IS 'Time when the model was chosen';
CREATE TABLE public.idempotency_keys (
    app_id text NOT NULL COLLATE pg_catalog."C",
    user_id text NOT NULL COLLATE pg_catalog."C",
    key_hash text NOT NULL COLLATE pg_catalog."C",
    request_hash text NOT NULL COLLATE pg_catalog."C",
    status integer NOT NULL,
    response bytea NOT NULL,
    etag text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    session_ids text[] COLLATE pg_catalog."C",
    config_ids text[] COLLATE pg_catalog."C",
    app_ids text[] COLLATE pg_catalog."C",
    is_encrypted boolean DEFAULT true NOT NULL
);
COMMENT ON TABLE public.idempotency_keys IS 'Answers to requests with an Idempotency-Key, which repeated requests get again. Written by the service in the transaction of the change; deleted after 24 hours.';
COMMENT ON COLUMN public.idempotency_keys.app_id IS 'The application of the caller';
COMMENT ON COLUMN public.idempotency_keys.user_id IS 'The caller';
COMMENT ON COLUMN public.idempotency_keys.key_hash IS 'SHA-256 of the caller and the key, in hexadecimal';
COMMENT ON COLUMN public.idempotency_keys.request_hash IS 'SHA-256 of the request, in hexadecimal: the key is refused for another request';
COMMENT ON COLUMN public.idempotency_keys.status IS 'Status of the answer';
COMMENT ON COLUMN public.idempotency_keys.response IS 'Body of the answer, encrypted';
COMMENT ON COLUMN public.idempotency_keys.etag IS 'ETag of the answer, or null';
COMMENT ON COLUMN public.idempotency_keys.created_at IS 'Time when the answer was stored';
COMMENT ON COLUMN public.idempotency_keys.session_ids IS 'Sessions that the answer shows and its caller saw. It is given again only while the caller sees all of them';
COMMENT ON COLUMN public.idempotency_keys.config_ids IS 'Configs, likewise';
COMMENT ON COLUMN public.idempotency_keys.app_ids IS 'Applications, likewise';
COMMENT ON COLUMN public.idempotency_keys.is_encrypted IS 'True if response is encrypted with the key and the service''s SECRET_KEY';
CREATE TABLE public.imports (
    import_id text NOT NULL COLLATE pg_catalog."C",
    user_id text NOT NULL COLLATE pg_catalog."C",
    app_id text NOT NULL COLLATE pg_catalog."C",
    process_id text NOT NULL COLLATE pg_catalog."C",
    status text DEFAULT 'running'::text NOT NULL COLLATE pg_catalog."C",
    filename text COLLATE pg_catalog."C",
    format text NOT NULL COLLATE pg_catalog."C",
    config_id text COLLATE pg_catalog."C",
    size bigint NOT NULL,
    bytes_read bigint DEFAULT 0 NOT NULL,
    bytes_total bigint,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    remarks jsonb DEFAULT '[]'::jsonb NOT NULL,
    losses bigint DEFAULT 0 NOT NULL,
    notes bigint DEFAULT 0 NOT NULL,
    detail text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    cancelled_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT imports_counts_check CHECK ((jsonb_typeof(counts) = 'object'::text)),
    CONSTRAINT imports_detail_length_check CHECK ((length(detail) <= 2000)),
    CONSTRAINT imports_finished_at_check CHECK (((status = 'running'::text) = (finished_at IS NULL))),
    CONSTRAINT imports_format_length_check CHECK ((GREATEST(length(format), length(config_id)) <= 255)),
    CONSTRAINT imports_remarks_check CHECK ((jsonb_typeof(remarks) = 'array'::text)),
    CONSTRAINT imports_status_check CHECK ((status = ANY (ARRAY['running'::text, 'done'::text, 'failed'::text, 'cancelled'::text, 'interrupted'::text]))),
    CONSTRAINT imports_user_id_length_check CHECK ((GREATEST(length(import_id), length(user_id), length(app_id), length(process_id), length(filename)) <= 255))
)
WITH (fillfactor='50');
COMMENT ON TABLE public.imports IS 'Imports that were sent to the service, one row each, deleted 30 days after they began';
COMMENT ON COLUMN public.imports.import_id IS 'Id of the import';
COMMENT ON COLUMN public.imports.user_id IS 'User who sent it, the owner of its sessions';
COMMENT ON COLUMN public.imports.app_id IS 'Application through which it was sent';
COMMENT ON COLUMN public.imports.process_id IS 'Process that reads it';
COMMENT ON COLUMN public.imports.status IS 'running, done, failed, cancelled, or interrupted because its process ended';
COMMENT ON COLUMN public.imports.filename IS 'Name of the file that was sent, if the client gave one';
COMMENT ON COLUMN public.imports.format IS 'Format that was asked for, or auto';
COMMENT ON COLUMN public.imports.config_id IS 'Config with which agents continue its sessions';
COMMENT ON COLUMN public.imports.size IS 'Bytes that were sent';
COMMENT ON COLUMN public.imports.bytes_read IS 'Bytes of its files that are read';
COMMENT ON COLUMN public.imports.bytes_total IS 'Bytes of its files, null until they are known';
COMMENT ON COLUMN public.imports.counts IS 'By tool: files, sessions that are new, grown, forked or the same, and messages';
COMMENT ON COLUMN public.imports.remarks IS 'At most 1,000 remarks about files and lines, those about losses first';
COMMENT ON COLUMN public.imports.losses IS 'Number of lines and files that did not become what they should';
COMMENT ON COLUMN public.imports.notes IS 'Number of remarks that are no losses';
COMMENT ON COLUMN public.imports.detail IS 'Why it failed or was interrupted';
COMMENT ON COLUMN public.imports.created_at IS 'Time when it was received';
COMMENT ON COLUMN public.imports.seen_at IS 'Time when its process last wrote this row';
COMMENT ON COLUMN public.imports.cancelled_at IS 'Time when its user cancelled it';
COMMENT ON COLUMN public.imports.finished_at IS 'Time when it ended';
CREATE TABLE public.message_embeddings (
    session_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone,
    attempts bigint DEFAULT 0 NOT NULL,
    digest bytea,
    embedding real[],
    CONSTRAINT message_embeddings_digest_size_check CHECK ((octet_length(digest) = 16)),
    CONSTRAINT message_embeddings_embedding_size_check CHECK ((cardinality(embedding) <= 4000))
);
COMMENT ON TABLE public.message_embeddings IS 'Embeddings of messages, and messages that wait for theirs; no rows while the search by meaning is off. Triggers on messages add and delete rows, the service fills them.';
COMMENT ON COLUMN public.message_embeddings.session_id IS 'The session';
COMMENT ON COLUMN public.message_embeddings.seq IS 'Number of the message';
COMMENT ON COLUMN public.message_embeddings.created_at IS 'Time of the message';
COMMENT ON COLUMN public.message_embeddings.due_at IS 'Time from which on the message is embedded, or until which a process has claimed it; null if it was embedded or cannot be';
COMMENT ON COLUMN public.message_embeddings.attempts IS 'Number of attempts to embed it that failed or go on';
COMMENT ON COLUMN public.message_embeddings.digest IS 'First 16 bytes of the SHA-256 of the text that was embedded, by which the same text is embedded once';
COMMENT ON COLUMN public.message_embeddings.embedding IS 'Vector, or null; halfvec if embedding_models.is_indexed';
CREATE TABLE public.notification_keys (
    single boolean DEFAULT true NOT NULL,
    inner_key bytea NOT NULL,
    outer_key bytea NOT NULL,
    CONSTRAINT notification_keys_inner_key_check CHECK ((octet_length(inner_key) = 64)),
    CONSTRAINT notification_keys_outer_key_check CHECK ((octet_length(outer_key) = 64)),
    CONSTRAINT notification_keys_single_check CHECK (single)
);
COMMENT ON TABLE public.notification_keys IS 'One row with the keys that sign notifications between processes. Made by a migration; update the row to replace them.';
COMMENT ON COLUMN public.notification_keys.single IS 'Always true: there is one row only';
COMMENT ON COLUMN public.notification_keys.inner_key IS 'First secret key, 64 random bytes';
COMMENT ON COLUMN public.notification_keys.outer_key IS 'Second secret key, 64 random bytes';
CREATE UNLOGGED TABLE public.processes (
    process_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    version text NOT NULL COLLATE pg_catalog."C",
    queries_hash text NOT NULL COLLATE pg_catalog."C",
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    is_accepting boolean NOT NULL,
    runs bigint NOT NULL,
    streams bigint NOT NULL,
    connections bigint NOT NULL,
    connections_in_use bigint NOT NULL,
    most_connections bigint NOT NULL,
    CONSTRAINT processes_process_id_length_check CHECK ((GREATEST(length(process_id), length(name), length(version), length(queries_hash)) <= 255))
)
WITH (fillfactor='50');
COMMENT ON TABLE public.processes IS 'Processes that serve this database, one row each. Every process writes its row each ten seconds and deletes it when it stops.';
COMMENT ON COLUMN public.processes.process_id IS 'Id of the process, as in runs and streams';
COMMENT ON COLUMN public.processes.name IS 'Host and number of the process, as in GET /health/queries';
COMMENT ON COLUMN public.processes.version IS 'Version of the service';
COMMENT ON COLUMN public.processes.queries_hash IS 'Hash of the queries that the process serves';
COMMENT ON COLUMN public.processes.started_at IS 'Time when the process began to serve';
COMMENT ON COLUMN public.processes.seen_at IS 'Time when the process last wrote this row';
COMMENT ON COLUMN public.processes.is_accepting IS 'False when the process is about to stop';
COMMENT ON COLUMN public.processes.runs IS 'Number of runs of agents that the process executes';
COMMENT ON COLUMN public.processes.streams IS 'Number of streams and sockets that the process has open';
COMMENT ON COLUMN public.processes.connections IS 'Number of connections of its pool';
COMMENT ON COLUMN public.processes.connections_in_use IS 'Number of those that are in use';
COMMENT ON COLUMN public.processes.most_connections IS 'Number of connections that its pool may have, DATABASE_POOL_MAX_SIZE';
CREATE UNLOGGED TABLE public.rate_limits (
    app_id text NOT NULL COLLATE pg_catalog."C",
    user_id text NOT NULL COLLATE pg_catalog."C",
    granted integer NOT NULL,
    full_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');
COMMENT ON TABLE public.rate_limits IS 'Used parts of rate limits, one row per user of an application. Written by the service, deleted when nothing is used. Unlogged: empty after a crash of PostgreSQL, so that all limits begin anew.';
COMMENT ON COLUMN public.rate_limits.app_id IS 'The application';
COMMENT ON COLUMN public.rate_limits.user_id IS 'The user';
COMMENT ON COLUMN public.rate_limits.granted IS 'Requests that the last statement granted to a process';
COMMENT ON COLUMN public.rate_limits.full_at IS 'Time from which the whole limit may be used again, unless further requests come';
CREATE TABLE public.retracted_messages (
    session_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    message jsonb NOT NULL,
    role text,
    size integer GENERATED ALWAYS AS (octet_length((message)::text)) STORED,
    author_user_id text NOT NULL COLLATE pg_catalog."C",
    author_app_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    key character varying(256) COLLATE pg_catalog."C",
    retracted_seq bigint NOT NULL,
    retracted_at timestamp with time zone NOT NULL,
    retracted_by_user_id text NOT NULL COLLATE pg_catalog."C",
    retracted_by_app_id text NOT NULL COLLATE pg_catalog."C",
    erased_at timestamp with time zone,
    CONSTRAINT retracted_messages_author_user_id_length_check CHECK ((GREATEST(length(role), length(author_user_id), length(author_app_id), length(retracted_by_user_id), length(retracted_by_app_id)) <= 255)),
    CONSTRAINT retracted_messages_erased_at_check CHECK (((erased_at IS NULL) OR (message = '{}'::jsonb))),
    CONSTRAINT retracted_messages_message_check CHECK ((jsonb_typeof(message) = 'object'::text)),
    CONSTRAINT retracted_messages_size_check CHECK ((size <= 16777216))
);
COMMENT ON TABLE public.retracted_messages IS 'Messages that were taken back, one row per message. messages_retract and messages_erase write them for the service. Reads, views, searches and agents do not see them.';
COMMENT ON COLUMN public.retracted_messages.session_id IS 'The session';
COMMENT ON COLUMN public.retracted_messages.seq IS 'Number that the message had in the transcript';
COMMENT ON COLUMN public.retracted_messages.message IS 'The message as it was sent, a JSON object of at most 16 MB; empty once it is erased';
COMMENT ON COLUMN public.retracted_messages.role IS 'Role that was derived from the message, or null';
COMMENT ON COLUMN public.retracted_messages.size IS 'Length of the message as text, in bytes, derived';
COMMENT ON COLUMN public.retracted_messages.author_user_id IS 'The user that added the message, or in whose name the agent did';
COMMENT ON COLUMN public.retracted_messages.author_app_id IS 'The application that the message was added through';
COMMENT ON COLUMN public.retracted_messages.created_at IS 'Time of the statement that added the message';
COMMENT ON COLUMN public.retracted_messages.key IS 'Key that the client gave the message, or null. It is free for another message';
COMMENT ON COLUMN public.retracted_messages.retracted_seq IS 'Number of the event message.retracted on the clock of the session';
COMMENT ON COLUMN public.retracted_messages.retracted_at IS 'Time when the message was taken back';
COMMENT ON COLUMN public.retracted_messages.retracted_by_user_id IS 'The user that took the message back';
COMMENT ON COLUMN public.retracted_messages.retracted_by_app_id IS 'The application that the message was taken back through';
COMMENT ON COLUMN public.retracted_messages.erased_at IS 'Time when the text was erased, or null';
CREATE TABLE public.run_approvals (
    session_id text NOT NULL COLLATE pg_catalog."C",
    approval_id text NOT NULL COLLATE pg_catalog."C",
    run_id text NOT NULL COLLATE pg_catalog."C",
    prompt text NOT NULL,
    options text[] NOT NULL,
    requested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    granted boolean,
    decision text,
    decided_by_user_id text COLLATE pg_catalog."C",
    decided_at timestamp with time zone,
    CONSTRAINT run_approvals_decided_at_check CHECK (((granted IS NULL) = (decided_at IS NULL))),
    CONSTRAINT run_approvals_options_check CHECK (((cardinality(options) >= 1) AND (cardinality(options) <= 20)))
);
COMMENT ON TABLE public.run_approvals IS 'Questions that runs ask people before they continue, with the answers. Written by the service.';
COMMENT ON COLUMN public.run_approvals.session_id IS 'The session';
COMMENT ON COLUMN public.run_approvals.approval_id IS 'Id of the question';
COMMENT ON COLUMN public.run_approvals.run_id IS 'The run that waits for the answer';
COMMENT ON COLUMN public.run_approvals.prompt IS 'The question, at most 10,000 characters';
COMMENT ON COLUMN public.run_approvals.options IS 'The answers to choose from, 1 to 20';
COMMENT ON COLUMN public.run_approvals.requested_at IS 'Time when the question was asked';
COMMENT ON COLUMN public.run_approvals.expires_at IS 'Time from which nobody can answer any more';
COMMENT ON COLUMN public.run_approvals.granted IS 'True if the run may continue, false if not; null until somebody answers or the time is over';
COMMENT ON COLUMN public.run_approvals.decision IS 'The chosen option, or null';
COMMENT ON COLUMN public.run_approvals.decided_by_user_id IS 'The user that answered, or null';
COMMENT ON COLUMN public.run_approvals.decided_at IS 'Time of the answer, or null';
CREATE TABLE public.runs (
    session_id text NOT NULL COLLATE pg_catalog."C",
    run_id text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    message jsonb NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    app_id text NOT NULL COLLATE pg_catalog."C",
    queued_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    response text,
    error jsonb,
    usage jsonb DEFAULT '{}'::jsonb NOT NULL,
    timing jsonb DEFAULT '{}'::jsonb NOT NULL,
    cancelled_by_user_id text COLLATE pg_catalog."C",
    process_id text COLLATE pg_catalog."C",
    lease_expires_at timestamp with time zone,
    finish_reason character varying(64),
    traceparent character varying(55),
    CONSTRAINT runs_error_check CHECK ((jsonb_typeof(error) = 'object'::text)),
    CONSTRAINT runs_finished_at_check CHECK (((status = ANY (ARRAY['queued'::text, 'running'::text])) = (finished_at IS NULL))),
    CONSTRAINT runs_message_check CHECK ((jsonb_typeof(message) = 'object'::text)),
    CONSTRAINT runs_message_depth_check CHECK ((NOT (message @? '$.**{64}'::jsonpath))),
    CONSTRAINT runs_process_id_check CHECK (((status <> 'running'::text) OR ((process_id IS NOT NULL) AND (lease_expires_at IS NOT NULL) AND (started_at IS NOT NULL)))),
    CONSTRAINT runs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
)
WITH (fillfactor='70');
COMMENT ON TABLE public.runs IS 'Runs of agents, one row per message that an agent has to answer. Written by the service. One run of a session is running at a time.';
COMMENT ON COLUMN public.runs.session_id IS 'The session';
COMMENT ON COLUMN public.runs.run_id IS 'Id of the run';
COMMENT ON COLUMN public.runs.status IS 'State: queued, running, completed, failed or cancelled';
COMMENT ON COLUMN public.runs.message IS 'The message to answer, a JSON object. It is a row of messages from the start of the run';
COMMENT ON COLUMN public.runs.user_id IS 'The user that sent the message';
COMMENT ON COLUMN public.runs.app_id IS 'The application that the message was sent through';
COMMENT ON COLUMN public.runs.queued_at IS 'Time when the message arrived';
COMMENT ON COLUMN public.runs.started_at IS 'Time when the run started, null before';
COMMENT ON COLUMN public.runs.finished_at IS 'Time when the run ended, null before';
COMMENT ON COLUMN public.runs.response IS 'Text that the agent answered, or null';
COMMENT ON COLUMN public.runs.error IS 'Reason why the run failed, a JSON object without secrets; null for other runs';
COMMENT ON COLUMN public.runs.usage IS 'Numbers of model calls, tool calls and tokens, a JSON object';
COMMENT ON COLUMN public.runs.timing IS 'Seconds that models and tools took, a JSON object';
COMMENT ON COLUMN public.runs.cancelled_by_user_id IS 'The user that cancelled the run, or null';
COMMENT ON COLUMN public.runs.process_id IS 'The process that executes the run, null for queued runs';
COMMENT ON COLUMN public.runs.lease_expires_at IS 'Time until which this process must renew its lease. After it, another process ends the run';
COMMENT ON COLUMN public.runs.finish_reason IS 'Reason for which the model ended its last answer, such as `stop` or `length`; null if it gave none';
COMMENT ON COLUMN public.runs.traceparent IS 'Trace context (W3C traceparent) of the request that queued the run; null if it was not traced';
CREATE VIEW public.run_usage AS
 SELECT session_id,
    run_id,
    user_id,
    app_id,
    status,
    queued_at,
    public.usage_number(usage, 'model_calls'::text) AS model_calls,
    public.usage_number(usage, 'tool_calls'::text) AS tool_calls,
    public.usage_number(usage, 'input_tokens'::text) AS input_tokens,
    public.usage_number(usage, 'output_tokens'::text) AS output_tokens,
    public.usage_number(usage, 'total_tokens'::text) AS total_tokens,
    public.usage_number(usage, 'cache_read_tokens'::text) AS cache_read_tokens,
    public.usage_number(usage, 'cache_write_tokens'::text) AS cache_write_tokens,
    public.usage_number(timing, 'model'::text) AS model_seconds,
    public.usage_number(timing, 'tools'::text) AS tool_seconds,
        CASE
            WHEN (jsonb_typeof((usage -> 'models'::text)) = 'object'::text) THEN (usage -> 'models'::text)
            ELSE '{}'::jsonb
        END AS models
   FROM public.runs;
COMMENT ON VIEW public.run_usage IS 'Calls, tokens and seconds of each run of an agent, in sessions that still exist. Numbers are written when a run ends.';
COMMENT ON COLUMN public.run_usage.session_id IS 'The session';
COMMENT ON COLUMN public.run_usage.run_id IS 'Id of the run';
COMMENT ON COLUMN public.run_usage.user_id IS 'The user that sent the message';
COMMENT ON COLUMN public.run_usage.app_id IS 'The application that the message was sent through';
COMMENT ON COLUMN public.run_usage.status IS 'State: queued, running, completed, failed or cancelled';
COMMENT ON COLUMN public.run_usage.queued_at IS 'Time when the message arrived';
COMMENT ON COLUMN public.run_usage.model_calls IS 'Number of calls of models';
COMMENT ON COLUMN public.run_usage.tool_calls IS 'Number of calls of tools';
COMMENT ON COLUMN public.run_usage.input_tokens IS 'Number of tokens that models read, as providers report them';
COMMENT ON COLUMN public.run_usage.output_tokens IS 'Number of tokens that models wrote, as providers report them';
COMMENT ON COLUMN public.run_usage.total_tokens IS 'Number of tokens in all, as providers report them';
COMMENT ON COLUMN public.run_usage.cache_read_tokens IS 'Number of tokens that models read from a cache';
COMMENT ON COLUMN public.run_usage.cache_write_tokens IS 'Number of tokens that models wrote to a cache';
COMMENT ON COLUMN public.run_usage.model_seconds IS 'Time of all calls of models, in seconds';
COMMENT ON COLUMN public.run_usage.tool_seconds IS 'Time of all calls of tools, in seconds';
COMMENT ON COLUMN public.run_usage.models IS 'The same calls and tokens for each model, a JSON object of objects by the name of the model; empty for runs of earlier releases';
CREATE TABLE public.searches (
    user_id text NOT NULL COLLATE pg_catalog."C",
    app_id text NOT NULL COLLATE pg_catalog."C",
    day date NOT NULL,
    kind text NOT NULL,
    searches bigint NOT NULL,
    unsuccessful bigint NOT NULL,
    cancelled bigint NOT NULL,
    seconds double precision NOT NULL,
    CONSTRAINT searches_kind_check CHECK ((kind = ANY (ARRAY['messages'::text, 'sessions'::text])))
);
COMMENT ON TABLE public.searches IS 'Numbers of searches, one row per user, application, day and kind, without their words. Every process adds its own once a minute.';
COMMENT ON COLUMN public.searches.user_id IS 'The user';
COMMENT ON COLUMN public.searches.app_id IS 'The application';
COMMENT ON COLUMN public.searches.day IS 'Day in UTC';
COMMENT ON COLUMN public.searches.kind IS '`messages` for searches of messages, `sessions` for searches for sessions';
COMMENT ON COLUMN public.searches.searches IS 'Number of searches; further pages do not count';
COMMENT ON COLUMN public.searches.unsuccessful IS 'Number of those that found nothing';
COMMENT ON COLUMN public.searches.cancelled IS 'Number of those that took longer than SEARCH_TIMEOUT';
COMMENT ON COLUMN public.searches.seconds IS 'Time of all together, in seconds';
CREATE VIEW public.search_activity AS
 SELECT day,
    user_id,
    app_id,
    kind,
    searches,
    unsuccessful,
    cancelled,
    seconds
   FROM public.searches;
COMMENT ON VIEW public.search_activity IS 'Searches per day (UTC), user, application and kind, without their words. Up to a minute late.';
COMMENT ON COLUMN public.search_activity.day IS 'Day in UTC';
COMMENT ON COLUMN public.search_activity.user_id IS 'The user that searched';
COMMENT ON COLUMN public.search_activity.app_id IS 'The application that the user searched through';
COMMENT ON COLUMN public.search_activity.kind IS '`messages` (GET /search and in a session) or `sessions` (GET /sessions?q=)';
COMMENT ON COLUMN public.search_activity.searches IS 'Number of searches; further pages do not count';
COMMENT ON COLUMN public.search_activity.unsuccessful IS 'Number of those that found nothing';
COMMENT ON COLUMN public.search_activity.cancelled IS 'Number of those that took longer than SEARCH_TIMEOUT';
COMMENT ON COLUMN public.search_activity.seconds IS 'Time of all together, in seconds';
CREATE TABLE public.session_events (
    session_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    type text NOT NULL COLLATE pg_catalog."C",
    data jsonb DEFAULT '{}'::jsonb NOT NULL,
    actor_user_id text COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT session_events_data_check CHECK ((jsonb_typeof(data) = 'object'::text)),
    CONSTRAINT session_events_seq_check CHECK ((seq > 0)),
    CONSTRAINT session_events_type_check CHECK ((type ~ '^[a-z_]+[.][a-z_]+$'::text))
);
COMMENT ON TABLE public.session_events IS 'Events of sessions: everything that happened besides messages. The service only adds rows, in the statement of the change.';
COMMENT ON COLUMN public.session_events.session_id IS 'The session';
COMMENT ON COLUMN public.session_events.seq IS 'Number on the clock of the session, shared with messages';
COMMENT ON COLUMN public.session_events.type IS 'Type of the event, such as `participant.joined`';
COMMENT ON COLUMN public.session_events.data IS 'Data of the event, a JSON object of at most 8,192 bytes; a trigger replaces large members by their names in `changed`';
COMMENT ON COLUMN public.session_events.actor_user_id IS 'The user that caused the event, null for the service itself';
COMMENT ON COLUMN public.session_events.created_at IS 'Time of the statement that added the event';
CREATE TABLE public.session_invitations (
    session_id text NOT NULL COLLATE pg_catalog."C",
    invitation_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    token_hash text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL,
    max_uses integer NOT NULL,
    uses integer DEFAULT 0 NOT NULL,
    created_by_user_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT session_invitations_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'editor'::text, 'viewer'::text]))),
    CONSTRAINT session_invitations_token_hash_check CHECK ((token_hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT session_invitations_uses_check CHECK (((uses >= 0) AND (uses <= max_uses)))
);
COMMENT ON TABLE public.session_invitations IS 'Invitations to sessions for people whose user_id is not known. Written by the service.';
COMMENT ON COLUMN public.session_invitations.session_id IS 'The session';
COMMENT ON COLUMN public.session_invitations.invitation_id IS 'Id of the invitation; not secret';
COMMENT ON COLUMN public.session_invitations.seq IS 'The session''s last_seq when the invitation was made: it admits nobody who was removed after that';
COMMENT ON COLUMN public.session_invitations.token_hash IS 'SHA-256 of the token that admits, in hexadecimal; the token itself is not stored';
COMMENT ON COLUMN public.session_invitations.role IS 'Role of those who join: owner, editor or viewer';
COMMENT ON COLUMN public.session_invitations.max_uses IS 'Number of people that it admits';
COMMENT ON COLUMN public.session_invitations.uses IS 'Number of people that it has admitted';
COMMENT ON COLUMN public.session_invitations.created_by_user_id IS 'The user that made the invitation';
COMMENT ON COLUMN public.session_invitations.created_at IS 'Time when the invitation was made';
COMMENT ON COLUMN public.session_invitations.expires_at IS 'Time from which it admits nobody';
COMMENT ON COLUMN public.session_invitations.revoked_at IS 'Time when it was revoked, or null';
CREATE TABLE public.session_origin_lines (
    session_id text NOT NULL COLLATE pg_catalog."C",
    first_line bigint NOT NULL,
    numbers bigint[] NOT NULL,
    message_seqs bigint[] NOT NULL,
    lines bytea[] NOT NULL,
    CONSTRAINT session_origin_lines_lines_check CHECK (((cardinality(lines) = cardinality(numbers)) AND (pg_column_size(lines) <= 17500000))),
    CONSTRAINT session_origin_lines_message_seqs_check CHECK ((cardinality(message_seqs) = cardinality(numbers))),
    CONSTRAINT session_origin_lines_numbers_check CHECK ((((cardinality(numbers) >= 1) AND (cardinality(numbers) <= 1000)) AND (first_line = numbers[1])))
);
COMMENT ON TABLE public.session_origin_lines IS 'The lines of imported files as they were, some per row. Written by imports; a retraction empties the line of its message.';
COMMENT ON COLUMN public.session_origin_lines.session_id IS 'The session';
COMMENT ON COLUMN public.session_origin_lines.first_line IS 'Number of the first line of the row in its file, from 1';
COMMENT ON COLUMN public.session_origin_lines.numbers IS 'Numbers of the lines in the file, at most 1,000';
COMMENT ON COLUMN public.session_origin_lines.message_seqs IS 'For each line the number of the message that it became, null for lines that are no messages';
COMMENT ON COLUMN public.session_origin_lines.lines IS 'The lines without line feeds; null for a line whose message was taken back, or that was too long to keep';
CREATE TABLE public.session_origins (
    session_id text NOT NULL COLLATE pg_catalog."C",
    tool text NOT NULL COLLATE pg_catalog."C",
    tool_version text COLLATE pg_catalog."C",
    source_id text NOT NULL COLLATE pg_catalog."C",
    path text NOT NULL COLLATE pg_catalog."C",
    title text,
    lines bigint DEFAULT 0 NOT NULL,
    digest text NOT NULL COLLATE pg_catalog."C",
    is_whole boolean DEFAULT true NOT NULL,
    files jsonb DEFAULT '{}'::jsonb NOT NULL,
    imported_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT session_origins_digest_check CHECK ((digest ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT session_origins_files_check CHECK ((jsonb_typeof(files) = 'object'::text)),
    CONSTRAINT session_origins_lines_check CHECK ((lines >= 0)),
    CONSTRAINT session_origins_path_length_check CHECK ((length(path) <= 4096)),
    CONSTRAINT session_origins_source_id_length_check CHECK ((length(source_id) <= 500)),
    CONSTRAINT session_origins_tool_length_check CHECK ((GREATEST(length(tool), length(tool_version), length(title)) <= 255))
);
COMMENT ON TABLE public.session_origins IS 'Origins of imported sessions, one row per session. Written by imports.';
COMMENT ON COLUMN public.session_origins.session_id IS 'The session';
COMMENT ON COLUMN public.session_origins.tool IS 'The tool that wrote it, such as `claude-code`';
COMMENT ON COLUMN public.session_origins.tool_version IS 'Version of the tool, or null';
COMMENT ON COLUMN public.session_origins.source_id IS 'Id that the session has in the tool';
COMMENT ON COLUMN public.session_origins.path IS 'The file that it was read from, at the last import';
COMMENT ON COLUMN public.session_origins.title IS 'Title that the last import gave the session, or null. A title that differs was given here and stays';
COMMENT ON COLUMN public.session_origins.lines IS 'Number of lines of the session that are imported';
COMMENT ON COLUMN public.session_origins.digest IS 'SHA-256 of these lines, in hexadecimal: the next import continues after them if it finds the same';
COMMENT ON COLUMN public.session_origins.is_whole IS 'False if the last line had no line feed';
COMMENT ON COLUMN public.session_origins.files IS 'Small files beside it, by name, as texts; a JSON object';
COMMENT ON COLUMN public.session_origins.imported_at IS 'Time of the first import';
COMMENT ON COLUMN public.session_origins.updated_at IS 'Time of the last change, kept by a trigger';
CREATE TABLE public.session_participants (
    session_id text NOT NULL COLLATE pg_catalog."C",
    user_id text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL,
    joined_at timestamp with time zone DEFAULT now() NOT NULL,
    last_active_at timestamp with time zone DEFAULT now() NOT NULL,
    permissions jsonb DEFAULT '{}'::jsonb NOT NULL,
    last_read_seq bigint DEFAULT 0 NOT NULL,
    CONSTRAINT session_participants_permissions_check CHECK ((jsonb_typeof(permissions) = 'object'::text)),
    CONSTRAINT session_participants_permissions_keys_check CHECK ((((permissions - ARRAY['send'::text, 'cancel'::text, 'invite'::text, 'export'::text]) = '{}'::jsonb) AND (NOT (permissions @? 'strict $.*?(@.type() != "boolean")'::jsonpath)))),
    CONSTRAINT session_participants_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'editor'::text, 'viewer'::text]))),
    CONSTRAINT session_participants_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
);
COMMENT ON TABLE public.session_participants IS 'Participants of sessions with their roles. Every query that serves a user joins this table. Written by the service.';
COMMENT ON COLUMN public.session_participants.session_id IS 'The session';
COMMENT ON COLUMN public.session_participants.user_id IS 'The participant';
COMMENT ON COLUMN public.session_participants.role IS 'owner, editor or viewer';
COMMENT ON COLUMN public.session_participants.joined_at IS 'Time when the participant joined';
COMMENT ON COLUMN public.session_participants.last_active_at IS 'Time of the last request in the session, at most a minute late';
COMMENT ON COLUMN public.session_participants.permissions IS 'Rights that differ from the role, a JSON object of booleans: `send`, `cancel`, `invite`, `export`';
COMMENT ON COLUMN public.session_participants.last_read_seq IS 'Number up to which the participant has read, set by clients; 0 for never';
CREATE TABLE public.session_states (
    session_id text NOT NULL COLLATE pg_catalog."C",
    document jsonb DEFAULT '{}'::jsonb NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT session_states_document_check CHECK ((jsonb_typeof(document) = 'object'::text)),
    CONSTRAINT session_states_document_depth_check CHECK ((NOT (document @? '$.**{64}'::jsonpath)))
);
COMMENT ON TABLE public.session_states IS 'Documents of sessions, one row per session that has one. Written by the service under the lock of the session''s row.';
COMMENT ON COLUMN public.session_states.session_id IS 'The session';
COMMENT ON COLUMN public.session_states.document IS 'A JSON object of at most 64 kB as text';
COMMENT ON COLUMN public.session_states.version IS 'Number of changes; 0 as long as the document is empty and was never changed';
COMMENT ON COLUMN public.session_states.updated_at IS 'Time of the last change, kept by statements or a trigger';
CREATE TABLE public.sessions (
    session_id text NOT NULL COLLATE pg_catalog."C",
    config_id text COLLATE pg_catalog."C",
    owner_user_id text NOT NULL COLLATE pg_catalog."C",
    created_by_app_id text NOT NULL COLLATE pg_catalog."C",
    last_accessed_by_app_id text COLLATE pg_catalog."C",
    last_accessed_at timestamp with time zone,
    status text DEFAULT 'active'::text NOT NULL,
    title text,
    tags jsonb DEFAULT '{}'::jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    message_count integer DEFAULT 0 NOT NULL,
    last_seq bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    search tsvector,
    search_language text,
    search_revision text,
    config_version bigint,
    forked_from_session_id text COLLATE pg_catalog."C",
    forked_at_seq bigint,
    messages_total bigint DEFAULT 0 NOT NULL,
    external_id text COLLATE pg_catalog."C",
    parent_session_id text COLLATE pg_catalog."C",
    CONSTRAINT sessions_last_seq_check CHECK ((last_seq >= 0)),
    CONSTRAINT sessions_message_count_check CHECK ((message_count >= 0)),
    CONSTRAINT sessions_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT sessions_metadata_depth_check CHECK ((NOT (metadata @? '$.**{64}'::jsonpath))),
    CONSTRAINT sessions_status_check CHECK ((status = ANY (ARRAY['active'::text, 'completed'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT sessions_tags_check CHECK ((jsonb_typeof(tags) = 'object'::text)),
    CONSTRAINT sessions_title_check CHECK ((length(title) <= 255))
)
WITH (fillfactor='80');
COMMENT ON TABLE public.sessions IS 'Sessions, each with its clock `last_seq`. Written by the service; messages and events by hand move the clock by triggers.';
COMMENT ON COLUMN public.sessions.session_id IS 'Id of the session, a uuid if the service made it';
COMMENT ON COLUMN public.sessions.config_id IS 'The config that the agent runs with, or null for a session that only records';
COMMENT ON COLUMN public.sessions.owner_user_id IS 'The user that owns the session; a participant of the role owner';
COMMENT ON COLUMN public.sessions.created_by_app_id IS 'The application that the session was made through';
COMMENT ON COLUMN public.sessions.last_accessed_by_app_id IS 'The application of the last change, or null';
COMMENT ON COLUMN public.sessions.last_accessed_at IS 'Time of the last change through the service, or null';
COMMENT ON COLUMN public.sessions.status IS 'active, completed, failed or cancelled; an agent runs in active sessions only';
COMMENT ON COLUMN public.sessions.title IS 'Title for people, at most 255 characters, or null';
COMMENT ON COLUMN public.sessions.tags IS 'Tags, a JSON object of texts';
COMMENT ON COLUMN public.sessions.metadata IS 'Data of the client, a JSON object of at most 64 kB. `language` chooses the language of the search';
COMMENT ON COLUMN public.sessions.message_count IS 'Number of messages with the role user';
COMMENT ON COLUMN public.sessions.last_seq IS 'Clock: number of the last message or event, 0 for none. Also the ETag';
COMMENT ON COLUMN public.sessions.created_at IS 'Time when the session was made';
COMMENT ON COLUMN public.sessions.updated_at IS 'Time of the last change or message, kept by statements or a trigger';
COMMENT ON COLUMN public.sessions.search IS 'Words of title and tags. A trigger derives it';
COMMENT ON COLUMN public.sessions.search_language IS 'Text search configuration of the session''s messages; null for the default of the database';
COMMENT ON COLUMN public.sessions.search_revision IS 'Language and version of the functions that search was made with. Set it to null to index the row again';
COMMENT ON COLUMN public.sessions.config_version IS 'Version of the config when the session was made; null for older sessions';
COMMENT ON COLUMN public.sessions.forked_from_session_id IS 'The session that this one was copied from, which may be gone; else null';
COMMENT ON COLUMN public.sessions.forked_at_seq IS 'Number up to which that session was copied; else null';
COMMENT ON COLUMN public.sessions.messages_total IS 'Number of messages of any role';
COMMENT ON COLUMN public.sessions.external_id IS 'Key that the caller chose, unique per application and owner, or null';
COMMENT ON COLUMN public.sessions.parent_session_id IS 'The session whose agent started this one as a sub-agent, which may be gone; else null';
CREATE VIEW public.session_transcripts AS
 SELECT session_id,
    last_seq,
    COALESCE(( SELECT jsonb_agg(messages.message ORDER BY messages.seq) AS jsonb_agg
           FROM public.messages
          WHERE (messages.session_id = sessions.session_id)), '[]'::jsonb) AS transcript
   FROM public.sessions;
COMMENT ON VIEW public.session_transcripts IS 'Whole transcripts, one row per session. Select single sessions: each transcript is put together when it is read.';
COMMENT ON COLUMN public.session_transcripts.session_id IS 'The session, also if it has no messages';
COMMENT ON COLUMN public.session_transcripts.last_seq IS 'Number of its last message or event';
COMMENT ON COLUMN public.session_transcripts.transcript IS 'All messages, a JSON array in the order of their numbers';
CREATE TABLE public.stream_tickets (
    ticket_hash text NOT NULL COLLATE pg_catalog."C",
    session_id text COLLATE pg_catalog."C",
    user_id text NOT NULL COLLATE pg_catalog."C",
    app_id text NOT NULL COLLATE pg_catalog."C",
    token_expires_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE public.stream_tickets IS 'Tickets that open one stream within 30 seconds, for clients that cannot send headers. Written by the service; deleted when used or expired.';
COMMENT ON COLUMN public.stream_tickets.ticket_hash IS 'SHA-256 of the ticket, in hexadecimal; the ticket itself is not stored';
COMMENT ON COLUMN public.stream_tickets.session_id IS 'The session whose stream it opens; null for a stream of hints about all sessions';
COMMENT ON COLUMN public.stream_tickets.user_id IS 'The user that follows the stream';
COMMENT ON COLUMN public.stream_tickets.app_id IS 'The application that the ticket was made through';
COMMENT ON COLUMN public.stream_tickets.token_expires_at IS 'Time when the caller''s credentials expire, and the stream ends';
COMMENT ON COLUMN public.stream_tickets.expires_at IS 'Time from which the ticket opens nothing';
CREATE UNLOGGED TABLE public.streams (
    stream_id text NOT NULL COLLATE pg_catalog."C",
    process_id text NOT NULL COLLATE pg_catalog."C",
    session_id text COLLATE pg_catalog."C",
    user_id text NOT NULL COLLATE pg_catalog."C",
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50');
COMMENT ON TABLE public.streams IS 'Streams that are open now, in any process. Processes touch their rows every few seconds; older ones belong to a process that died. Unlogged: empty after a crash of PostgreSQL, then written again.';
COMMENT ON COLUMN public.streams.stream_id IS 'Id of the stream';
COMMENT ON COLUMN public.streams.process_id IS 'The process that serves it';
COMMENT ON COLUMN public.streams.session_id IS 'The session; null for a stream of hints about all sessions';
COMMENT ON COLUMN public.streams.user_id IS 'The user that follows it';
COMMENT ON COLUMN public.streams.opened_at IS 'Time when the stream was opened';
COMMENT ON COLUMN public.streams.seen_at IS 'Time when the process last touched the row';
CREATE VIEW public.usage_by_application AS
 SELECT author_app_id AS app_id,
    count(DISTINCT author_user_id) AS users,
    count(DISTINCT session_id) AS sessions,
    count(*) AS messages,
    sum(size) AS bytes,
    min(created_at) AS first_at,
    max(created_at) AS last_at
   FROM public.messages
  GROUP BY author_app_id;
COMMENT ON VIEW public.usage_by_application IS 'Messages added through each application, in sessions that still exist. Reads all messages.';
COMMENT ON COLUMN public.usage_by_application.app_id IS 'The application';
COMMENT ON COLUMN public.usage_by_application.users IS 'Number of users that added messages';
COMMENT ON COLUMN public.usage_by_application.sessions IS 'Number of sessions with these messages';
COMMENT ON COLUMN public.usage_by_application.messages IS 'Number of messages, of any role';
COMMENT ON COLUMN public.usage_by_application.bytes IS 'Length of the messages as JSON text, in bytes';
COMMENT ON COLUMN public.usage_by_application.first_at IS 'Time of the first message';
COMMENT ON COLUMN public.usage_by_application.last_at IS 'Time of the last message';
CREATE VIEW public.usage_by_day AS
 SELECT ((created_at AT TIME ZONE 'UTC'::text))::date AS day,
    author_user_id AS user_id,
    author_app_id AS app_id,
    count(DISTINCT session_id) AS sessions,
    count(*) AS messages,
    sum(size) AS bytes
   FROM public.messages
  GROUP BY (((created_at AT TIME ZONE 'UTC'::text))::date), author_user_id, author_app_id;
COMMENT ON VIEW public.usage_by_day IS 'Messages added per day (UTC), user and application, in sessions that still exist. Reads all messages.';
COMMENT ON COLUMN public.usage_by_day.day IS 'Day in UTC';
COMMENT ON COLUMN public.usage_by_day.user_id IS 'The user that added the messages';
COMMENT ON COLUMN public.usage_by_day.app_id IS 'The application that they were added through';
COMMENT ON COLUMN public.usage_by_day.sessions IS 'Number of sessions with these messages';
COMMENT ON COLUMN public.usage_by_day.messages IS 'Number of messages, of any role';
COMMENT ON COLUMN public.usage_by_day.bytes IS 'Length of the messages as JSON text, in bytes';
CREATE VIEW public.usage_by_user AS
 SELECT author_user_id AS user_id,
    count(DISTINCT session_id) AS sessions,
    count(*) AS messages,
    sum(size) AS bytes,
    min(created_at) AS first_at,
    max(created_at) AS last_at
   FROM public.messages
  GROUP BY author_user_id;
COMMENT ON VIEW public.usage_by_user IS 'Messages added by each user, in sessions that still exist. Reads all messages.';
COMMENT ON COLUMN public.usage_by_user.user_id IS 'The user that added the messages';
COMMENT ON COLUMN public.usage_by_user.sessions IS 'Number of sessions with these messages';
COMMENT ON COLUMN public.usage_by_user.messages IS 'Number of messages, of any role';
COMMENT ON COLUMN public.usage_by_user.bytes IS 'Length of the messages as JSON text, in bytes';
COMMENT ON COLUMN public.usage_by_user.first_at IS 'Time of the first message';
COMMENT ON COLUMN public.usage_by_user.last_at IS 'Time of the last message';
CREATE TABLE public.user_states (
    user_id text NOT NULL COLLATE pg_catalog."C",
    app_id text NOT NULL COLLATE pg_catalog."C",
    document jsonb DEFAULT '{}'::jsonb NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT user_states_document_check CHECK ((jsonb_typeof(document) = 'object'::text)),
    CONSTRAINT user_states_document_depth_check CHECK ((NOT (document @? '$.**{64}'::jsonpath))),
    CONSTRAINT user_states_user_id_length_check CHECK ((GREATEST(length(user_id), length(app_id)) <= 255))
);
COMMENT ON TABLE public.user_states IS 'Documents of users, one row per user and application. Written by the service, also by appends; only the user reads it.';
COMMENT ON COLUMN public.user_states.user_id IS 'The user';
COMMENT ON COLUMN public.user_states.app_id IS 'The application through which the user reads and writes it';
COMMENT ON COLUMN public.user_states.document IS 'A JSON object of at most 64 kB as text';
COMMENT ON COLUMN public.user_states.version IS 'Number of changes; 0 as long as the document is empty and was never changed';
COMMENT ON COLUMN public.user_states.updated_at IS 'Time of the last change, kept by statements or a trigger';
CREATE TABLE public.users (
    user_id text NOT NULL COLLATE pg_catalog."C",
    first_seen timestamp with time zone DEFAULT now() NOT NULL,
    last_seen timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_app_id text COLLATE pg_catalog."C",
    total_sessions integer DEFAULT 0 NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT users_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT users_total_sessions_check CHECK ((total_sessions >= 0)),
    CONSTRAINT users_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
);
COMMENT ON TABLE public.users IS 'Users, as tokens name them. Written by the service with the first request; no other table refers to them.';
COMMENT ON COLUMN public.users.user_id IS 'Name of the user: the `sub` of the tokens';
COMMENT ON COLUMN public.users.first_seen IS 'Time of the first request';
COMMENT ON COLUMN public.users.last_seen IS 'Time of the last request, at most a minute late';
COMMENT ON COLUMN public.users.last_seen_app_id IS 'The application of the last request';
COMMENT ON COLUMN public.users.total_sessions IS 'Number of sessions that the user has made, deleted ones included';
COMMENT ON COLUMN public.users.metadata IS 'Data about the user, a JSON object of at most 64 kB, not written by the service';
ALTER TABLE ONLY public.application_keys
    ADD CONSTRAINT application_keys_app_id_name_key UNIQUE (app_id, name);
ALTER TABLE public.application_keys
    ADD CONSTRAINT application_keys_key_id_length_check CHECK ((length(key_id) <= 255)) NOT VALID;
ALTER TABLE ONLY public.application_keys
    ADD CONSTRAINT application_keys_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.application_states
    ADD CONSTRAINT application_states_pkey PRIMARY KEY (app_id);
ALTER TABLE ONLY public.applications
    ADD CONSTRAINT applications_api_key_prefix_key UNIQUE (api_key_prefix);
ALTER TABLE public.applications
    ADD CONSTRAINT applications_api_key_prefix_length_check CHECK ((length(api_key_prefix) <= 255)) NOT VALID;
ALTER TABLE public.applications
    ADD CONSTRAINT applications_key_managers_check CHECK (((cardinality(key_managers) <= 20) AND (octet_length((key_managers)::text) <= 32768))) NOT VALID;
ALTER TABLE ONLY public.applications
    ADD CONSTRAINT applications_pkey PRIMARY KEY (app_id);
ALTER TABLE public.applications
    ADD CONSTRAINT applications_settings_request_limit_check CHECK (((NOT (settings ? 'rate_limit_requests_per_minute'::text)) OR (public.request_limit(settings) IS NOT NULL))) NOT VALID;
ALTER TABLE ONLY public.attachment_chunks
    ADD CONSTRAINT attachment_chunks_pkey PRIMARY KEY (session_id, sha256, start);
ALTER TABLE ONLY public.attachment_removals
    ADD CONSTRAINT attachment_removals_pkey PRIMARY KEY (location);
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT attachments_pkey PRIMARY KEY (session_id, sha256);
ALTER TABLE public.audit_log
    ADD CONSTRAINT audit_log_details_size_check CHECK ((octet_length((details)::text) <= 65536)) NOT VALID;
ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (audit_id);
ALTER TABLE public.audit_log
    ADD CONSTRAINT audit_log_user_id_length_check CHECK ((GREATEST(length(user_id), length(app_id), length(action), length(target_type), length(target_id), length(address), length(request_id)) <= 255)) NOT VALID;
ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT config_versions_pkey PRIMARY KEY (config_id, version);
ALTER TABLE public.configs
    ADD CONSTRAINT configs_config_id_length_check CHECK ((GREATEST(length(config_id), length(user_id)) <= 255)) NOT VALID;
ALTER TABLE public.configs
    ADD CONSTRAINT configs_copied_from_config_id_check CHECK ((length(copied_from_config_id) <= 255)) NOT VALID;
ALTER TABLE ONLY public.configs
    ADD CONSTRAINT configs_pkey PRIMARY KEY (config_id);
ALTER TABLE ONLY public.configuration
    ADD CONSTRAINT configuration_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.embedding_models
    ADD CONSTRAINT embedding_models_pkey PRIMARY KEY (model);
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (app_id, user_id, key_hash);
ALTER TABLE public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_response_size_check CHECK ((octet_length(response) <= 16777216)) NOT VALID;
ALTER TABLE public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_session_ids_size_check CHECK ((GREATEST(octet_length((session_ids)::text), octet_length((config_ids)::text), octet_length((app_ids)::text)) <= 65536)) NOT VALID;
ALTER TABLE public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_user_id_length_check CHECK ((GREATEST(length(app_id), length(user_id), length(key_hash), length(request_hash), length(etag)) <= 255)) NOT VALID;
ALTER TABLE ONLY public.imports
    ADD CONSTRAINT imports_pkey PRIMARY KEY (import_id);
ALTER TABLE ONLY public.message_embeddings
    ADD CONSTRAINT message_embeddings_pkey PRIMARY KEY (session_id, seq);
ALTER TABLE public.messages
    ADD CONSTRAINT messages_author_user_id_length_check CHECK ((GREATEST(length(author_user_id), length(author_app_id), length(search_revision)) <= 255)) NOT VALID;
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (session_id, seq);
ALTER TABLE ONLY public.notification_keys
    ADD CONSTRAINT notification_keys_pkey PRIMARY KEY (single);
ALTER TABLE ONLY public.processes
    ADD CONSTRAINT processes_pkey PRIMARY KEY (process_id);
ALTER TABLE ONLY public.rate_limits
    ADD CONSTRAINT rate_limits_pkey PRIMARY KEY (app_id, user_id);
ALTER TABLE public.rate_limits
    ADD CONSTRAINT rate_limits_user_id_length_check CHECK ((GREATEST(length(app_id), length(user_id)) <= 255)) NOT VALID;
ALTER TABLE ONLY public.retracted_messages
    ADD CONSTRAINT retracted_messages_pkey PRIMARY KEY (session_id, seq);
ALTER TABLE public.run_approvals
    ADD CONSTRAINT run_approvals_approval_id_length_check CHECK ((GREATEST(length(approval_id), length(decided_by_user_id)) <= 255)) NOT VALID;
ALTER TABLE ONLY public.run_approvals
    ADD CONSTRAINT run_approvals_pkey PRIMARY KEY (session_id, approval_id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (session_id, run_id);
ALTER TABLE public.runs
    ADD CONSTRAINT runs_run_id_length_check CHECK ((GREATEST(length(run_id), length(user_id), length(app_id), length(cancelled_by_user_id), length(process_id)) <= 255)) NOT VALID;
ALTER TABLE ONLY public.searches
    ADD CONSTRAINT searches_pkey PRIMARY KEY (user_id, app_id, day, kind);
ALTER TABLE public.searches
    ADD CONSTRAINT searches_user_id_length_check CHECK ((GREATEST(length(user_id), length(app_id)) <= 255)) NOT VALID;
ALTER TABLE public.session_events
    ADD CONSTRAINT session_events_data_size_check CHECK ((octet_length((data)::text) <= 65536)) NOT VALID;
ALTER TABLE ONLY public.session_events
    ADD CONSTRAINT session_events_pkey PRIMARY KEY (session_id, seq);
ALTER TABLE public.session_events
    ADD CONSTRAINT session_events_type_length_check CHECK ((GREATEST(length(type), length(actor_user_id)) <= 255)) NOT VALID;
ALTER TABLE public.session_invitations
    ADD CONSTRAINT session_invitations_invitation_id_length_check CHECK ((GREATEST(length(invitation_id), length(created_by_user_id)) <= 255)) NOT VALID;
ALTER TABLE ONLY public.session_invitations
    ADD CONSTRAINT session_invitations_pkey PRIMARY KEY (session_id, invitation_id);
ALTER TABLE ONLY public.session_invitations
    ADD CONSTRAINT session_invitations_token_hash_key UNIQUE (session_id, token_hash);
ALTER TABLE ONLY public.session_origin_lines
    ADD CONSTRAINT session_origin_lines_pkey PRIMARY KEY (session_id, first_line);
ALTER TABLE ONLY public.session_origins
    ADD CONSTRAINT session_origins_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY public.session_participants
    ADD CONSTRAINT session_participants_pkey PRIMARY KEY (session_id, user_id);
ALTER TABLE public.session_participants
    ADD CONSTRAINT session_participants_user_id_dots_check CHECK ((user_id !~ '(^|/)\.\.?(/|$)'::text)) NOT VALID;
ALTER TABLE ONLY public.session_states
    ADD CONSTRAINT session_states_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY public.stream_tickets
    ADD CONSTRAINT stream_tickets_pkey PRIMARY KEY (ticket_hash);
ALTER TABLE public.stream_tickets
    ADD CONSTRAINT stream_tickets_user_id_length_check CHECK ((GREATEST(length(ticket_hash), length(user_id), length(app_id)) <= 255)) NOT VALID;
ALTER TABLE ONLY public.streams
    ADD CONSTRAINT streams_pkey PRIMARY KEY (stream_id);
ALTER TABLE public.streams
    ADD CONSTRAINT streams_stream_id_length_check CHECK ((GREATEST(length(stream_id), length(process_id), length(session_id), length(user_id)) <= 255)) NOT VALID;
ALTER TABLE ONLY public.user_states
    ADD CONSTRAINT user_states_pkey PRIMARY KEY (user_id, app_id);
ALTER TABLE public.users
    ADD CONSTRAINT users_last_seen_app_id_length_check CHECK ((length(last_seen_app_id) <= 255)) NOT VALID;
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (user_id);
ALTER TABLE public.users
    ADD CONSTRAINT users_user_id_dots_check CHECK ((user_id !~ '(^|/)\.\.?(/|$)'::text)) NOT VALID;
CREATE INDEX applications_settings_idx ON public.applications USING gin (settings jsonb_path_ops);
CREATE INDEX attachment_removals_due_at_idx ON public.attachment_removals USING btree (due_at);
CREATE INDEX attachments_checked_at_idx ON public.attachments USING btree (checked_at);
CREATE INDEX attachments_created_by_user_id_idx ON public.attachments USING btree (created_by_user_id) INCLUDE (size);
CREATE INDEX attachments_location_idx ON public.attachments USING btree (location) WHERE (location IS NOT NULL);
CREATE INDEX audit_log_target_id_idx ON public.audit_log USING btree (target_id, audit_id);
CREATE INDEX configs_config_json_idx ON public.configs USING gin (config_json jsonb_path_ops);
CREATE INDEX configs_tags_idx ON public.configs USING gin (tags jsonb_path_ops);
CREATE INDEX configs_user_id_idx ON public.configs USING btree (user_id, updated_at DESC, config_id DESC);
CREATE INDEX configuration_value_idx ON public.configuration USING gin (value jsonb_path_ops);
CREATE UNIQUE INDEX embedding_models_expr_idx ON public.embedding_models USING btree ((true));
CREATE INDEX idempotency_keys_created_at_idx ON public.idempotency_keys USING btree (created_at);
CREATE INDEX imports_created_at_idx ON public.imports USING btree (created_at);
CREATE INDEX imports_user_id_idx ON public.imports USING btree (user_id, created_at, import_id);
CREATE UNIQUE INDEX imports_user_id_status_idx ON public.imports USING btree (user_id) WHERE (status = 'running'::text);
CREATE INDEX message_embeddings_digest_idx ON public.message_embeddings USING btree (digest) WHERE (embedding IS NOT NULL);
CREATE INDEX message_embeddings_due_at_idx ON public.message_embeddings USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX messages_created_at_idx ON public.messages USING brin (created_at) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX messages_search_idx ON public.messages USING gin (search, (ARRAY[session_id])) WITH (fastupdate=off);
CREATE UNIQUE INDEX messages_session_id_key_idx ON public.messages USING btree (session_id, key) WHERE (key IS NOT NULL);
CREATE INDEX messages_session_id_system_idx ON public.messages USING btree (session_id, seq) WHERE (role = ANY (ARRAY['system'::text, 'developer'::text]));
CREATE INDEX run_approvals_session_id_run_id_idx ON public.run_approvals USING btree (session_id, run_id);
CREATE INDEX runs_queued_at_idx ON public.runs USING btree (queued_at);
CREATE INDEX runs_session_id_queued_at_idx ON public.runs USING btree (session_id, queued_at, run_id);
CREATE INDEX runs_session_id_queued_idx ON public.runs USING btree (session_id, queued_at, run_id) WHERE (status = 'queued'::text);
CREATE UNIQUE INDEX runs_session_id_running_idx ON public.runs USING btree (session_id) WHERE (status = 'running'::text);
CREATE INDEX runs_user_id_queued_idx ON public.runs USING btree (user_id) WHERE (status = 'queued'::text);
CREATE INDEX searches_day_idx ON public.searches USING btree (day);
CREATE INDEX session_participants_last_active_at_idx ON public.session_participants USING btree (user_id, last_active_at DESC, session_id DESC);
CREATE INDEX session_participants_permissions_idx ON public.session_participants USING gin (permissions jsonb_path_ops);
CREATE INDEX session_participants_user_id_idx ON public.session_participants USING btree (user_id, session_id);
CREATE INDEX sessions_config_id_idx ON public.sessions USING btree (config_id);
CREATE UNIQUE INDEX sessions_external_id_idx ON public.sessions USING btree (created_by_app_id, owner_user_id, external_id) WHERE (external_id IS NOT NULL);
CREATE INDEX sessions_metadata_idx ON public.sessions USING gin (metadata jsonb_path_ops);
CREATE INDEX sessions_parent_session_id_idx ON public.sessions USING btree (parent_session_id) WHERE (parent_session_id IS NOT NULL);
CREATE INDEX sessions_search_idx ON public.sessions USING gin (search) WITH (fastupdate=off);
CREATE INDEX sessions_search_language_idx ON public.sessions USING btree (search_language) WHERE (search_language IS NOT NULL);
CREATE INDEX sessions_tags_idx ON public.sessions USING gin (tags jsonb_path_ops);
CREATE INDEX stream_tickets_expires_at_idx ON public.stream_tickets USING btree (expires_at);
CREATE INDEX stream_tickets_session_id_idx ON public.stream_tickets USING btree (session_id);
CREATE INDEX streams_session_id_idx ON public.streams USING btree (session_id);
CREATE INDEX streams_user_id_idx ON public.streams USING btree (user_id);
CREATE INDEX user_states_app_id_idx ON public.user_states USING btree (app_id);
CREATE INDEX users_metadata_idx ON public.users USING gin (metadata jsonb_path_ops);
CREATE TRIGGER application_states_document_size_check BEFORE INSERT OR UPDATE OF document ON public.application_states FOR EACH ROW WHEN ((octet_length((new.document)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('document');
CREATE TRIGGER application_states_set_updated_at BEFORE UPDATE ON public.application_states FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER applications_announce AFTER DELETE OR UPDATE ON public.applications FOR EACH ROW EXECUTE FUNCTION public.announce_application();
CREATE TRIGGER applications_drop_states AFTER DELETE ON public.applications FOR EACH ROW EXECUTE FUNCTION public.applications_drop_states();
CREATE TRIGGER applications_keep_default_key AFTER INSERT OR UPDATE OF api_key_hash, api_key_prefix ON public.applications FOR EACH ROW EXECUTE FUNCTION public.keep_default_key();
CREATE TRIGGER applications_set_updated_at BEFORE UPDATE ON public.applications FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER applications_settings_size_check BEFORE INSERT OR UPDATE OF settings ON public.applications FOR EACH ROW WHEN ((octet_length((new.settings)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('settings');
CREATE TRIGGER attachments_note_removal AFTER DELETE ON public.attachments FOR EACH ROW WHEN ((old.location IS NOT NULL)) EXECUTE FUNCTION public.attachments_note_removal();
CREATE TRIGGER config_versions_config_json_size_check BEFORE INSERT OR UPDATE OF config_json ON public.config_versions FOR EACH ROW WHEN (((pg_trigger_depth() = 0) AND (octet_length((new.config_json)::text) > 1048576))) EXECUTE FUNCTION public.refuse_value('config_json');
CREATE TRIGGER config_versions_description_size_check BEFORE INSERT OR UPDATE OF description ON public.config_versions FOR EACH ROW WHEN (((pg_trigger_depth() = 0) AND (length(new.description) > 10000))) EXECUTE FUNCTION public.refuse_value('description');
CREATE TRIGGER config_versions_tags_size_check BEFORE INSERT OR UPDATE OF tags ON public.config_versions FOR EACH ROW WHEN (((pg_trigger_depth() = 0) AND (octet_length((new.tags)::text) > 196608))) EXECUTE FUNCTION public.refuse_value('tags');
CREATE TRIGGER configs_config_json_size_check BEFORE INSERT OR UPDATE OF config_json ON public.configs FOR EACH ROW WHEN ((octet_length((new.config_json)::text) > 1048576)) EXECUTE FUNCTION public.refuse_value('config_json');
CREATE TRIGGER configs_description_size_check BEFORE INSERT OR UPDATE OF description ON public.configs FOR EACH ROW WHEN ((length(new.description) > 10000)) EXECUTE FUNCTION public.refuse_value('description');
CREATE TRIGGER configs_keep_version BEFORE UPDATE OF name, description, config_json, tags ON public.configs FOR EACH ROW WHEN (((((((old.name)::text IS DISTINCT FROM (new.name)::text) OR (old.description IS DISTINCT FROM new.description)) OR (old.config_json IS DISTINCT FROM new.config_json)) OR (old.tags IS DISTINCT FROM new.tags)) AND ((current_setting('amplifier.reencrypts'::text, true) IS DISTINCT FROM 'on'::text) OR (CURRENT_USER = 'amplifier_app'::name)))) EXECUTE FUNCTION public.keep_config_version();
CREATE TRIGGER configs_set_updated_at BEFORE UPDATE ON public.configs FOR EACH ROW WHEN (((NOT (new.updated_at IS DISTINCT FROM old.updated_at)) AND ((current_setting('amplifier.reencrypts'::text, true) IS DISTINCT FROM 'on'::text) OR (CURRENT_USER = 'amplifier_app'::name)))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER configs_tags_size_check BEFORE INSERT OR UPDATE OF tags ON public.configs FOR EACH ROW WHEN ((octet_length((new.tags)::text) > 196608)) EXECUTE FUNCTION public.refuse_value('tags');
CREATE TRIGGER configuration_set_updated_at BEFORE UPDATE ON public.configuration FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER configuration_value_size_check BEFORE INSERT OR UPDATE OF value ON public.configuration FOR EACH ROW WHEN ((octet_length((new.value)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('value');
CREATE TRIGGER imports_counts_size_check BEFORE INSERT OR UPDATE OF counts ON public.imports FOR EACH ROW WHEN ((octet_length((new.counts)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('counts');
CREATE TRIGGER imports_remarks_size_check BEFORE INSERT OR UPDATE OF remarks ON public.imports FOR EACH ROW WHEN ((octet_length((new.remarks)::text) > 2097152)) EXECUTE FUNCTION public.refuse_value('remarks');
CREATE TRIGGER messages_advance_clock_by_hand AFTER INSERT ON public.messages REFERENCING NEW TABLE AS added FOR EACH STATEMENT WHEN ((CURRENT_USER <> 'amplifier_app'::name)) EXECUTE FUNCTION public.advance_clock_by_hand();
CREATE TRIGGER messages_set_search BEFORE INSERT OR UPDATE OF message, search_revision ON public.messages FOR EACH ROW EXECUTE FUNCTION public.messages_set_search();
CREATE TRIGGER messages_take_number_by_hand BEFORE INSERT ON public.messages FOR EACH ROW WHEN ((CURRENT_USER <> 'amplifier_app'::name)) EXECUTE FUNCTION public.take_number_by_hand();
CREATE TRIGGER run_approvals_decision_size_check BEFORE INSERT OR UPDATE OF decision ON public.run_approvals FOR EACH ROW WHEN ((length(new.decision) > 200)) EXECUTE FUNCTION public.refuse_value('decision');
CREATE TRIGGER run_approvals_options_size_check BEFORE INSERT OR UPDATE OF options ON public.run_approvals FOR EACH ROW WHEN ((octet_length((new.options)::text) > 32768)) EXECUTE FUNCTION public.refuse_value('options');
CREATE TRIGGER run_approvals_prompt_size_check BEFORE INSERT OR UPDATE OF prompt ON public.run_approvals FOR EACH ROW WHEN ((length(new.prompt) > 10000)) EXECUTE FUNCTION public.refuse_value('prompt');
CREATE TRIGGER runs_error_size_check BEFORE INSERT OR UPDATE OF error ON public.runs FOR EACH ROW WHEN ((octet_length((new.error)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('error');
CREATE TRIGGER runs_message_size_check BEFORE INSERT OR UPDATE OF message ON public.runs FOR EACH ROW WHEN ((octet_length((new.message)::text) > 16777216)) EXECUTE FUNCTION public.refuse_value('message');
CREATE TRIGGER runs_response_size_check BEFORE INSERT OR UPDATE OF response ON public.runs FOR EACH ROW WHEN ((octet_length(new.response) > 16777216)) EXECUTE FUNCTION public.refuse_value('response');
CREATE TRIGGER runs_timing_size_check BEFORE INSERT OR UPDATE OF timing ON public.runs FOR EACH ROW WHEN ((octet_length((new.timing)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('timing');
CREATE TRIGGER runs_usage_size_check BEFORE INSERT OR UPDATE OF usage ON public.runs FOR EACH ROW WHEN ((octet_length((new.usage)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('usage');
CREATE TRIGGER session_events_advance_clock_by_hand AFTER INSERT ON public.session_events REFERENCING NEW TABLE AS added FOR EACH STATEMENT WHEN ((CURRENT_USER <> 'amplifier_app'::name)) EXECUTE FUNCTION public.advance_clock_by_hand();
CREATE TRIGGER session_events_bound_data BEFORE INSERT ON public.session_events FOR EACH ROW WHEN ((octet_length((new.data)::text) > 8192)) EXECUTE FUNCTION public.bound_event();
CREATE TRIGGER session_events_take_number_by_hand BEFORE INSERT ON public.session_events FOR EACH ROW WHEN ((CURRENT_USER <> 'amplifier_app'::name)) EXECUTE FUNCTION public.take_number_by_hand();
CREATE TRIGGER session_origins_files_size_check BEFORE INSERT OR UPDATE OF files ON public.session_origins FOR EACH ROW WHEN ((octet_length((new.files)::text) > 2097152)) EXECUTE FUNCTION public.refuse_value('files');
CREATE TRIGGER session_origins_set_updated_at BEFORE UPDATE ON public.session_origins FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER session_states_document_size_check BEFORE INSERT OR UPDATE OF document ON public.session_states FOR EACH ROW WHEN ((octet_length((new.document)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('document');
CREATE TRIGGER session_states_set_updated_at BEFORE UPDATE ON public.session_states FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER sessions_created_by_app_id_length_check BEFORE INSERT OR UPDATE OF created_by_app_id ON public.sessions FOR EACH ROW WHEN ((length(new.created_by_app_id) > 255)) EXECUTE FUNCTION public.refuse_value('created_by_app_id');
CREATE TRIGGER sessions_drop_config AFTER DELETE ON public.sessions FOR EACH ROW EXECUTE FUNCTION public.sessions_drop_config();
CREATE TRIGGER sessions_drop_former_config AFTER UPDATE OF config_id ON public.sessions FOR EACH ROW WHEN ((new.config_id IS DISTINCT FROM old.config_id)) EXECUTE FUNCTION public.sessions_drop_config();
CREATE TRIGGER sessions_external_id_check BEFORE INSERT OR UPDATE OF external_id ON public.sessions FOR EACH ROW WHEN ((((length(new.external_id) < 1) OR (length(new.external_id) > 512)) OR (octet_length(new.external_id) > 1536) OR (new.external_id ~ '[\u0001-\u001F\u007F-\u009F]'::text) OR (new.external_id = ANY (ARRAY['.'::text, '..'::text])))) EXECUTE FUNCTION public.refuse_value('external_id');
CREATE TRIGGER sessions_forked_from_session_id_length_check BEFORE INSERT OR UPDATE OF forked_from_session_id ON public.sessions FOR EACH ROW WHEN ((length(new.forked_from_session_id) > 255)) EXECUTE FUNCTION public.refuse_value('forked_from_session_id');
CREATE TRIGGER sessions_keep_config BEFORE UPDATE OF owner_user_id ON public.sessions FOR EACH ROW WHEN ((new.owner_user_id IS DISTINCT FROM old.owner_user_id)) EXECUTE FUNCTION public.sessions_keep_config();
CREATE TRIGGER sessions_metadata_size_check BEFORE INSERT OR UPDATE OF metadata ON public.sessions FOR EACH ROW WHEN ((octet_length((new.metadata)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('metadata');
CREATE TRIGGER sessions_owner_user_id_length_check BEFORE INSERT OR UPDATE OF owner_user_id ON public.sessions FOR EACH ROW WHEN ((length(new.owner_user_id) > 255)) EXECUTE FUNCTION public.refuse_value('owner_user_id');
CREATE TRIGGER sessions_parent_session_id_length_check BEFORE INSERT OR UPDATE OF parent_session_id ON public.sessions FOR EACH ROW WHEN ((length(new.parent_session_id) > 255)) EXECUTE FUNCTION public.refuse_value('parent_session_id');
CREATE TRIGGER sessions_search_language_length_check BEFORE INSERT OR UPDATE OF search_language ON public.sessions FOR EACH ROW WHEN ((length(new.search_language) > 255)) EXECUTE FUNCTION public.refuse_value('search_language');
CREATE TRIGGER sessions_session_id_length_check BEFORE INSERT OR UPDATE OF session_id ON public.sessions FOR EACH ROW WHEN ((length(new.session_id) > 255)) EXECUTE FUNCTION public.refuse_value('session_id');
CREATE TRIGGER sessions_set_search BEFORE INSERT OR UPDATE OF title, tags, metadata, search_revision ON public.sessions FOR EACH ROW EXECUTE FUNCTION public.sessions_set_search();
CREATE TRIGGER sessions_set_updated_at BEFORE UPDATE OF config_id, owner_user_id, created_by_app_id, last_accessed_by_app_id, last_accessed_at, status, title, tags, metadata, message_count, last_seq, updated_at ON public.sessions FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER sessions_tags_size_check BEFORE INSERT OR UPDATE OF tags ON public.sessions FOR EACH ROW WHEN ((octet_length((new.tags)::text) > 196608)) EXECUTE FUNCTION public.refuse_value('tags');
CREATE TRIGGER user_states_document_size_check BEFORE INSERT OR UPDATE OF document ON public.user_states FOR EACH ROW WHEN ((octet_length((new.document)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('document');
CREATE TRIGGER user_states_set_updated_at BEFORE UPDATE ON public.user_states FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER users_metadata_size_check BEFORE INSERT OR UPDATE OF metadata ON public.users FOR EACH ROW WHEN ((octet_length((new.metadata)::text) > 65536)) EXECUTE FUNCTION public.refuse_value('metadata');
ALTER TABLE ONLY public.application_keys
    ADD CONSTRAINT application_keys_app_id_fkey FOREIGN KEY (app_id) REFERENCES public.applications(app_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.attachment_chunks
    ADD CONSTRAINT attachment_chunks_sha256_fkey FOREIGN KEY (session_id, sha256) REFERENCES public.attachments(session_id, sha256) ON DELETE CASCADE;
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT attachments_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT config_versions_config_id_fkey FOREIGN KEY (config_id) REFERENCES public.configs(config_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.message_embeddings
    ADD CONSTRAINT message_embeddings_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.retracted_messages
    ADD CONSTRAINT retracted_messages_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.run_approvals
    ADD CONSTRAINT run_approvals_session_id_run_id_fkey FOREIGN KEY (session_id, run_id) REFERENCES public.runs(session_id, run_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session_events
    ADD CONSTRAINT session_events_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session_invitations
    ADD CONSTRAINT session_invitations_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session_origin_lines
    ADD CONSTRAINT session_origin_lines_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session_origins
    ADD CONSTRAINT session_origins_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session_participants
    ADD CONSTRAINT session_participants_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session_states
    ADD CONSTRAINT session_states_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_config_id_fkey FOREIGN KEY (config_id) REFERENCES public.configs(config_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.stream_tickets
    ADD CONSTRAINT stream_tickets_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
GRANT USAGE ON SCHEMA public TO amplifier_app;
GRANT USAGE ON SCHEMA public TO amplifier_readonly;
REVOKE ALL ON FUNCTION public.announce(payload text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.announce(payload text) TO amplifier_app;
REVOKE ALL ON FUNCTION public.announce_application() FROM PUBLIC;
GRANT SELECT,INSERT ON TABLE public.messages TO amplifier_app;
REVOKE ALL ON FUNCTION public.message_embeddings_disable() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.message_embeddings_enable(new_model text, new_dimensions integer, may_use_vector boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.messages_erase(of_session_id text, seqs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.messages_erase(of_session_id text, seqs bigint[]) TO amplifier_app;
REVOKE ALL ON FUNCTION public.messages_move(of_session_id text, from_seqs bigint[], to_seqs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.messages_move(of_session_id text, from_seqs bigint[], to_seqs bigint[]) TO amplifier_app;
REVOKE ALL ON FUNCTION public.messages_replace(of_session_id text, of_seqs bigint[], new_messages jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.messages_replace(of_session_id text, of_seqs bigint[], new_messages jsonb[]) TO amplifier_app;
REVOKE ALL ON FUNCTION public.messages_retract(of_session_id text, seqs bigint[], event_seq bigint, by_user_id text, by_app_id text, erases boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.messages_retract(of_session_id text, seqs bigint[], event_seq bigint, by_user_id text, by_app_id text, erases boolean) TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.application_keys TO amplifier_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.application_states TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.applications TO amplifier_app;
GRANT SELECT,INSERT ON TABLE public.attachment_chunks TO amplifier_app;
GRANT SELECT,INSERT,DELETE ON TABLE public.attachment_removals TO amplifier_app;
GRANT SELECT,INSERT,DELETE ON TABLE public.attachments TO amplifier_app;
GRANT UPDATE(checked_at) ON TABLE public.attachments TO amplifier_app;
GRANT UPDATE(referenced_seq) ON TABLE public.attachments TO amplifier_app;
GRANT SELECT,INSERT ON TABLE public.audit_log TO amplifier_app;
GRANT SELECT,INSERT ON TABLE public.config_versions TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.configs TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.configuration TO amplifier_app;
GRANT SELECT ON TABLE public.embedding_models TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_keys TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.imports TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.message_embeddings TO amplifier_app;
GRANT SELECT ON TABLE public.notification_keys TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.processes TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.rate_limits TO amplifier_app;
GRANT SELECT,INSERT ON TABLE public.retracted_messages TO amplifier_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.run_approvals TO amplifier_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.runs TO amplifier_app;
GRANT SELECT ON TABLE public.run_usage TO amplifier_app;
GRANT SELECT ON TABLE public.run_usage TO amplifier_readonly;
GRANT SELECT,INSERT,UPDATE ON TABLE public.searches TO amplifier_app;
GRANT SELECT ON TABLE public.search_activity TO amplifier_readonly;
GRANT SELECT,INSERT ON TABLE public.session_events TO amplifier_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.session_invitations TO amplifier_app;
GRANT SELECT,INSERT ON TABLE public.session_origin_lines TO amplifier_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.session_origins TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.session_participants TO amplifier_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.session_states TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.sessions TO amplifier_app;
GRANT SELECT ON TABLE public.session_transcripts TO amplifier_readonly;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.stream_tickets TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.streams TO amplifier_app;
GRANT SELECT ON TABLE public.usage_by_application TO amplifier_readonly;
GRANT SELECT ON TABLE public.usage_by_day TO amplifier_readonly;
GRANT SELECT ON TABLE public.usage_by_user TO amplifier_readonly;
GRANT SELECT,INSERT,UPDATE ON TABLE public.user_states TO amplifier_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.users TO amplifier_app;
