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

-- The text search configuration for a name like `german`, `de` or `de-AT`; null for what PostgreSQL does not know.
create function search_language(name text) returns text
language sql stable parallel safe
return (
    select c.cfgname::text
    from pg_ts_config as c
    where
        pg_ts_config_is_visible(c.oid)
        and c.cfgname = coalesce(
            '{
                "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english",
                "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish",
                "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
                "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian",
                "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
                "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish"
            }'::jsonb ->> split_part(lower(name), '-', 1),
            lower(name)
        )
);

-- Text as it is given to the parser, which would take `src/main.py`, `mia@example.com`, or `os.path` for one word each, `-05` in
-- a date for a number, and leave out `<String>` as a tag. So identifiers are sequences of words, and their parts are found, too;
-- also the date in `2024-05-20T10:00`.
create function search_plain(value text) returns text
language sql immutable parallel safe
return regexp_replace(translate(value, '<>&./@-+', '        '), '([0-9]{2})T([0-9]{2}:)', '\1 \2', 'g');

-- The tsquery of what somebody typed: words, "phrases", or, -not, and beginnings (`word*`). It never fails; without any
-- term it is empty. What search_plain parts is joined by `_`: the parts become a phrase. A beginning stands for itself with
-- anything behind, and for the stems of words that it may become: `passenge*` has to find `passenger`, which is indexed as
-- `passeng`. It is parsed with `qxz` appended, so that it is neither stemmed nor a stop word; numbers are neither, anyway.
create function search_query(language regconfig, q text) returns tsquery
language plpgsql immutable as $$
declare
    endings constant text[] :=
        '{"",e,r,s,n,t,d,y,ce,re,le,ed,er,es,ng,ing,on,ion,tion,nt,ent,ment,ble,able,al,ly,ity,ss,ness,ve,ive,ous}';
    -- dashes within a word part it, those between words are none; others mean `not`
    parsed text := regexp_replace(
        regexp_replace(translate(q, '<>&./@+', '_______'), '([^\s"(-])-+|(?:^|\s)-+(?=\s|$)', '\1_', 'g'),
        '([0-9]{2})T([0-9]{2}:)',
        '\1_\2',
        'g'
    );
    typed text;
    beginning text;
    stems text;
    found text[] := '{}';
begin
    loop
        typed := substring(parsed from '([^\s"*(-][^\s"*]*)\*(?![[:alnum:]])');
        exit when typed is null or cardinality(found) = 20;
        beginning := lower(regexp_replace(typed, '[^[:alnum:]]+$', ''));
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
        found := found || case
            when beginning = '' then ''
            else format(
                '( %s%s )',
                case
                    when beginning ~ '[0-9]$'
                        then regexp_replace(phraseto_tsquery(language, beginning)::text, '''$', ''':*')
                    else replace(phraseto_tsquery(language, beginning || 'qxz')::text, 'qxz''', ''':*')
                end,
                stems
            )
        end;
        parsed := overlay(
            parsed placing format('qxz%sqxz ', translate(cardinality(found)::text, '0123456789', 'abcdefghij'))
            from strpos(parsed, typed || '*') for length(typed) + 1
        );
    end loop;
    parsed := websearch_to_tsquery(language, parsed)::text;
    for number in 1 .. cardinality(found) loop
        parsed := replace(
            parsed, format('''qxz%sqxz''', translate(number::text, '0123456789', 'abcdefghij')), found[number]
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
-- the text as it is: whoever puts it into a page has to escape it. What search_plain parts is something else while it is parsed.
-- The whole of a long text is read only if its beginning has no hit.
create function search_headline(language regconfig, query tsquery, value text) returns text
language sql immutable
return (
    select translate(
        case
            when strpos(beginning.headline, E'\uE000') > 0 or length(plain.text) <= 20000 then beginning.headline
            else ts_headline(language, plain.text, query, options)
        end,
        E'\x01\x02\x03\x04\x05\x06\x07\x08\x0e',
        '<>&./@-+T'
    )
    from regexp_replace(
        translate(
            value,
            E'<>&./@-+\x01\x02\x03\x04\x05\x06\x07\x08\x0e\uE000\uE001',
            E'\x01\x02\x03\x04\x05\x06\x07\x08'
        ),
        '([0-9]{2})T([0-9]{2}:)',
        E'\\1\x0e\\2',
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

-- Indexing again is no change of the session.
create or replace trigger sessions_set_updated_at before update on sessions
for each row when (
    new.updated_at is not distinct from old.updated_at
    and (new.search is not distinct from old.search or new.title is distinct from old.title or new.tags <> old.tags)
)
execute function set_updated_at();

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
