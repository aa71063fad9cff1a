-- depends: 0112-messages-estimate_short_beginnings
-- Identifiers are found by their parts: `userService` by `user service`, too. Options of one letter (`git commit -m`) exclude nothing.
-- Rows are indexed again by `amplifier-api search reindex`.
set local lock_timeout = '5s';

create or replace function search_revision(language text) returns text
language sql immutable parallel safe
return language || '/4';

-- `userService` and `HTTPServer` with `filler` where the case changes within a word. ASCII only; `APIs` and `IDs` have no parts.
create function search_cased(value text, filler text) returns text
language sql immutable parallel safe
return regexp_replace(
    regexp_replace(value, '([a-z][0-9]*)([A-Z])', format('\1%s\2', filler), 'g'),
    '([A-Z])([A-Z][a-z]{2})',
    format('\1%s\2', filler),
    'g'
);

-- The parts of words in which the case changes, each word once: `http server server2` of `HTTPServer2`. They are indexed after the text,
-- so that what was written stays a phrase. At most 1,000 words of at most 60 characters have parts, and none with several numbers inside,
-- as random ones have.
create function search_parts(value text) returns text
language sql immutable parallel safe
return (
    select
        regexp_replace(
            lower(search_cased(string_agg(word, ' ' order by place), ' ')),
            '\m([a-z]{3,})([0-9]+)\M',
            '\1 \1\2',
            'g'
        )
    from (
        select
            found[1] as word,
            min(place) as place
        from regexp_matches(
            value, '[A-Za-z0-9]*(?:[a-z][0-9]*[A-Z]|[A-Z][A-Z][a-z][a-z])[A-Za-z0-9]*', 'g'
        ) with ordinality as words (found, place)
        where
            length(found[1]) <= 60
            and found[1] !~ '[0-9][A-Za-z]+[0-9]+[A-Za-z]'
        group by found[1]
        order by min(place)
        limit 1000
    ) as cased_words
);

-- As in 0083, and with the parts of words.
create or replace function search_plain(value text) returns text
language plpgsql immutable parallel safe as $$
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

-- As in 0083; an option of one letter is a word.
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
$$;

-- As in 0083; where no word is marked, parts of words are.
create or replace function search_fragments(language regconfig, query tsquery, value text) returns text
language plpgsql immutable as $$
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

comment on function search_cased is 'Returns text with a filler where the case changes within a word';
comment on function search_parts is 'Returns the parts of the words in which the case changes, in lower case; null if there are none';
