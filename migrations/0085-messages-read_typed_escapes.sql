-- depends: 0084-messages-read_every_format
-- Typed text with escapes, as it is copied from JSON or from a log, also finds text with line breaks and the like in their place, unless
-- it excludes words: what one reading excludes, the other would find. And in a
-- database of the locale C, where [:alnum:] has ASCII only, all that is beyond ASCII counts as letters: symbols are gone by then.
set local lock_timeout = '5s';

create or replace function search_query_pairs(typed text) returns text
language sql immutable parallel safe
return (
    select string_agg(
        regexp_replace(
            regexp_replace(
                search_pairs(part, '_'),
                format('(%s)_%1$s_[_*]*(?=%s)', search_unspaced(), part_end),
                '\1',
                'g'
            ),
            format('_(%s)_[_*]*(?=%s)', search_unspaced(), part_end),
            '_\1*',
            'g'
        ),
        '"' order by number
    )
    from (
        select
            part,
            number,
            case
                when number % 2 = 0 then '[^[:alnum:]\u00AA-\U0010FFFF]*$'
                else '[^[:alnum:]\u00AA-\U0010FFFF\s()]*(?:[\s()]|$)'
            end as part_end
        from unnest(string_to_array(typed, '"')) with ordinality as p (part, number)
    ) as parts
);

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
    -- dashes within a word part it, those between words and the two of `--help` are none; others mean `not`
    parsed := regexp_replace(parsed, '([^\s"(-])-+|(?:^|\s)-+(?=\s|$)', '\1_', 'g');
    parsed := regexp_replace(parsed, '--+', '', 'g');
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
