-- depends: 0013-roles-create
-- Search, first part: languages, how a search is read, and the words of a session's title and tags. New columns are null, so
-- that no table is rewritten; 0016 fills them.
set local lock_timeout = '5s';

-- The text search configuration of what names none. `amplifier-api search reindex` replaces it, with SEARCH_LANGUAGE.
create function search_default_language() returns text
language sql immutable parallel safe
return 'english';

-- What a row's `search` was made with. A migration that changes what is extracted, or how, changes the number here.
create function search_revision(language text) returns text
language sql immutable parallel safe
return language || '/1';

-- The text search configuration for a name like `german`, `de` or `de-AT`, quoted where need be; null for what PostgreSQL does not
-- know.
create function search_language(name text) returns text
language sql stable parallel safe
return (
    select c.oid::regconfig::text
    from pg_ts_config as c
    where
        pg_ts_config_is_visible(c.oid)
        and (c.oid::regconfig::text = name or c.cfgname in (name, lower(name), coalesce(
            '{
                "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english",
                "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish",
                "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
                "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian",
                "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
                "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish"
            }'::jsonb ->> split_part(lower(name), '-', 1),
            lower(name)
        )))
    limit 1
);

-- What parts words, as a regular expression. The parser alone would take `src/main.py`, `mia@example.com` or `os.path` for one word
-- each, leave out `<String>` as a tag, and not see where `one\nHAT136` (in a Python repr) or `2024-05-20T10:00` have two. In a
-- database of the locale C it takes every sign beyond ASCII for a letter, quotation marks, dashes and emoji, too. And it takes time
-- with the square of words joined by `_` and the like. No lookbehind here: that does the same.
create function search_separators() returns text
language sql immutable parallel safe
return '[<>&./@+_:~%#=?]'
    || '|[\u0080-\u00A9\u00AB-\u00B4\u00B6-\u00B9\u00BB-\u00BF\u00D7\u00F7\u037E\u0387\u055A-\u055F\u0589\u05BE\u05C0\u05C3'
    || '\u05F3\u05F4\u060C\u061B\u061F\u066A-\u066D\u06D4\u0964\u0965\u2000-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020'
    || '\u3030\u303D-\u303F\u30FB\uFE00-\uFE1F\uFE30-\uFE6F\uFEFF\uFF00-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65'
    || '\uFFE0-\uFFFF\U0001F000-\U0001FAFF\U000E0000-\U000E01EF]'
    || '|\\(?:\\|[nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})';

-- Text with the parts of times (`2024-05-20T10:00:00Z`) apart.
create function search_apart(value text, filler text) returns text
language sql immutable parallel safe
return regexp_replace(
    regexp_replace(value, '([0-9][0-9])T([0-9][0-9]:)', format('\1%sT%s\2', filler, filler), 'g'),
    '(:[0-9][0-9](?:[.][0-9]+)?)Z',
    format('\1%sZ', filler),
    'g'
);

-- Text as it is given to the parser: identifiers are sequences of words, and their parts are found, too. Lower case, because there
-- are words that grow by it beyond what a tsvector takes, which PostgreSQL does not notice (18.4 writes beyond its memory).
create function search_plain(value text) returns text
language sql immutable parallel safe
return lower(regexp_replace(search_apart(value, ' '), search_separators() || '|-', ' ', 'g'));

-- The tsquery of what somebody typed: words, "phrases", or, -not, and beginnings (`word*`, twenty at most). It never fails;
-- without any term it is empty. What search_separators parts is joined by `_`, so that the parts become a phrase. A beginning
-- stands for itself with anything behind, and for the stems of words that it may become: `passenge*` has to find `passenger`,
-- which is indexed as `passeng`. It is parsed with a marker appended, so that it is neither stemmed nor a stop word.
create function search_query(language regconfig, q text) returns tsquery
language plpgsql immutable as $$
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
    parsed := lower(regexp_replace(search_apart(parsed, '_'), search_separators(), '_', 'g'));
    while strpos(parsed, marker) > 0 loop
        marker := marker || 'z';
    end loop;
    -- dashes within a word part it, those between words and the two of `--help` are none; others mean `not`
    parsed := regexp_replace(parsed, '([^\s"(-])-+|(?:^|\s)-+(?=\s|$)', '\1_', 'g');
    parsed := regexp_replace(parsed, '--+', '', 'g');
    loop
        typed := substring(parsed from '([^\s"*(-][^\s"*]*)\*(?![[:alnum:]])');
        exit when typed is null or cardinality(found) = 20;
        beginning := regexp_replace(typed, '[^[:alnum:]]+$', '');
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
    return parsed::tsquery;
end
$$;

-- The same query over some weights only: with `ABC` it does not see what an agent thought.
create function search_query_within(query tsquery, weights text) returns tsquery
language sql immutable parallel safe
return regexp_replace(query::text, '(''(?:[^'']|'''')*'')(?::(\*))?', '\1:\2' || weights, 'g')::tsquery;

-- The fragments of a text that a query matches, hits between U+E000 and U+E001, which the text itself cannot contain. It is
-- the text as it is: whoever puts it into a page has to escape it. What parts words stands alone while it is parsed. The
-- whole of a long text is read only if its beginning has no hit.
create function search_headline(language regconfig, query tsquery, value text) returns text
language sql immutable
return (
    select replace(
        case
            when strpos(beginning.headline, E'\uE000') > 0 or length(plain.text) <= 20000 then beginning.headline
            else ts_headline(language, plain.text, query, options)
        end,
        E'\x0f',
        ''
    )
    from regexp_replace(
        search_apart(translate(left(value, 100003), E'\x0f\uE000\uE001', ''), E'\x0f'),
        format('(%s|-)', search_separators()),
        E'\x0f\\1\x0f',
        'g'
    ) as plain (text)
    cross join format(
        'StartSel=%s, StopSel=%s, MaxFragments=3, MinWords=8, MaxWords=24, FragmentDelimiter=" … "', E'\uE000', E'\uE001'
    ) as options
    cross join lateral ts_headline(language, left(plain.text, 20000), query, options) as beginning (headline)
);

-- What is searched of a session besides its messages.
create function session_text(title text, tags jsonb) returns text
language sql immutable parallel safe
return concat_ws(
    E'\n',
    title,
    (
        select string_agg(key || ' ' || value, E'\n')
        from jsonb_each_text(case when jsonb_typeof(tags) = 'object' then tags end)
    )
);

alter table sessions
add column search tsvector,
add column search_language text,
add column search_revision text;

-- `search_language` is null where the default applies, so that a change of the default reaches it.
create function sessions_set_search() returns trigger language plpgsql as $$
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

-- Setting `search_revision` to null has a row indexed again.
create trigger sessions_set_search
before insert or update of title, tags, metadata, search_revision on sessions
for each row execute function sessions_set_search();

-- Indexing again is no change of the session: what sets `search_revision` alone leaves `updated_at`.
drop trigger sessions_set_updated_at on sessions;

create trigger sessions_set_updated_at
before update of
    config_id,
    owner_user_id,
    created_by_app_id,
    last_accessed_by_app_id,
    last_accessed_at,
    status,
    title,
    tags,
    metadata,
    message_count,
    last_seq,
    updated_at
on sessions
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();

-- Indexes sessions again whose `search` was made with another language or revision: goes through the next `most` rows behind
-- an id, and gives the id that it reached, null at the end. Rows that are locked are skipped, to be come back to.
create function sessions_refresh_search(
    inout after_session_id text, most bigint, out scanned bigint, out refreshed bigint, out skipped bigint
) language plpgsql as $$
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
