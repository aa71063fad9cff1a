set local lock_timeout = '5s';

create or replace function search_revision(language text) returns text
language sql immutable parallel safe
return language || '/1';

create or replace function search_separators() returns text
language sql immutable parallel safe
return '[<>&./@+_:~%#=?]'
    || '|[\u0080-\u00A9\u00AB-\u00B4\u00B6-\u00B9\u00BB-\u00BF\u00D7\u00F7\u037E\u0387\u055A-\u055F\u0589\u05BE\u05C0\u05C3'
    || '\u05F3\u05F4\u060C\u061B\u061F\u066A-\u066D\u06D4\u0964\u0965\u2000-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020'
    || '\u3030\u303D-\u303F\u30FB\uFE00-\uFE1F\uFE30-\uFE6F\uFEFF\uFF00-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65'
    || '\uFFE0-\uFFFF\U0001F000-\U0001FAFF\U000E0000-\U000E01EF]'
    || '|\\(?:\\|[nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})';

create or replace function search_plain(value text) returns text
language sql immutable parallel safe
return lower(regexp_replace(search_apart(value, ' '), search_separators() || '|-', ' ', 'g'));

create or replace function search_query(language regconfig, q text) returns tsquery
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

create or replace function search_fragments(language regconfig, query tsquery, value text) returns text
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

drop function search_restored;

drop function search_best;

drop function search_marked;

drop function search_pieces_plain;

drop function search_pieces;

drop function search_part;

drop function search_terms;

drop function search_query_pairs;

drop function search_pairs;

drop function search_folded;

drop function search_unspaced;

drop function search_combining;

drop function search_invisible;

drop function search_paths;

drop function search_escapes;

drop function search_symbols;

comment on function search_plain is 'Returns text as it is given to the parser of words: lower case, identifiers and paths in parts';
