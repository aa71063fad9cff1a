-- depends: 0082-messages-index_system
-- Search in every script and in every spelling: text and query are normalised (NFKC, without invisible characters), scripts without
-- spaces between words are indexed by pairs of characters, and a backslash separates words. The headline is made in time that grows with
-- the text only. Rows are indexed again by `amplifier-api search reindex`.
set local lock_timeout = '5s';

create or replace function search_revision(language text) returns text
language sql immutable parallel safe
return language || '/2';

-- Beyond ASCII: in a database of the locale C the parser takes every sign for a letter, quotation marks, dashes and emoji, too.
create function search_symbols() returns text
language sql immutable parallel safe
return '[\u0080-\u00A9\u00AB\u00AC\u00AE-\u00B4\u00B6-\u00B9\u00BB-\u00BF\u00D7\u00F7\u037E\u0387\u055A-\u055F\u0589\u05BE\u05C0'
    || '\u05C3\u05F3\u05F4\u060C\u061B\u061F\u066A-\u066D\u06D4\u0964\u0965\u2000-\u200A\u200E-\u205F\u2061-\u2125\u2127-\u2129'
    || '\u212C-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\u303D-\u303F\u30FB\uFE10-\uFE1F\uFE30-\uFE6F\uFF00-\uFF0F'
    || '\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65\uFFE0-\uFFFF\U0001F000-\U0001FAFF\U000E0000-\U000E00FF]';

-- The parser alone would take `src/main.py`, `mia@example.com` or `os.path` for one word each, and leave out `<String>` as a tag. And it
-- takes time with the square of words joined by `_` and the like. No lookbehind here: that does the same.
create or replace function search_separators() returns text
language sql immutable parallel safe
return '[<>&./@+_:~%#=?\\]|' || search_symbols();

-- How JSON and Python write a line break, a tab, a byte or a character. In `C:\repos` it is the beginning of a word, see search_paths.
create function search_escapes() returns text
language sql immutable parallel safe
return '\\(?:\\|[nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})';

-- Paths of Windows, with a drive or a server, as people write them: in JSON and Python each backslash would be two.
create function search_paths() returns text
language sql immutable parallel safe
return '(?:^|[^[:alnum:]])(?:[A-Za-z]:|\\\\[[:alnum:]._-]+)\\[^\s\\"''<>|][^\s"''<>|]*';

-- Soft hyphens, joiners and non-joiners, spaces of no width, variation selectors.
create function search_invisible() returns text
language sql immutable parallel safe
return '[\u00AD\u034F\u180B-\u180E\u200B-\u200D\u2060\uFE00-\uFE0F\uFEFF\U000E0100-\U000E01EF]';

-- Blocks with characters whose combining class is not 0. They may hold letters, but none of scripts without spaces between words.
create function search_combining() returns text
language sql immutable parallel safe
return '[\u0300-\u036F\u0483-\u0489\u0591-\u05C7\u0610-\u061A\u064B-\u0670\u06D6-\u06ED\u0711-\u0DFF\u0E31-\u0E3A\u0E47-\u0E4E'
    || '\u0EB1-\u0EBC\u0EC8-\u0ECF\u0F00-\u0FFF\u102B-\u109F\u1350-\u13FF\u1700-\u177F'
    || '\u17B4-\u1DFF\u20D0-\u20FF\u2CEF-\u2DFF\u302A-\u302F\u3099\u309A\uA66F-\uABED\uFB1E\uFE20-\uFE2F\U00010000-\U0001EFFF]';

-- Chinese, Japanese, Korean; Thai; Lao; Khmer; Burmese: a letter and its marks.
create function search_unspaced() returns text
language sql immutable parallel safe
return '(?:[\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u3096\u309D-\u309F\u30A1-\u30FA\u30FC-\u30FF\u3105-\u312F\u31A0-\u31BF'
    || '\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF][\u3099\u309A]*'
    || '|[\u0E01-\u0E30\u0E32\u0E33\u0E40-\u0E46][\u0E31\u0E34-\u0E3A\u0E47-\u0E4E]*'
    || '|[\u0E81-\u0EB0\u0EB2\u0EB3\u0EBD\u0EC0-\u0EC6\u0EDC-\u0EDF][\u0EB1\u0EB4-\u0EBC\u0EC8-\u0ECE]*'
    || '|[\u1780-\u17B3\u17D7\u17DC](?:\u17D2[\u1780-\u17B3]|[\u17B4-\u17D1\u17D3\u17DD])*'
    || '|[\u1000-\u102A\u103F\u1050-\u1055](?:\u1039[\u1000-\u102A]|[\u102B-\u1038\u103A-\u103E\u1056-\u1059])*)';

-- Symbols become `filler` first: NFKC would make `m2` of `m²`. U+FDD0 and four digits stand for a character that jsonb refuses. Zero-width
-- non-joiners separate the parts of Persian words, as a space does for most who type them; in other scripts they separate nothing. NFKC
-- sorts marks on one letter in time with the square of their number, and may make eighteen characters of one.
create function search_folded(value text, filler text) returns text
language plpgsql immutable parallel safe as $$
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

-- `用Python写一个` becomes `用 Python 写一 一个 个`: in a run of characters without spaces, each begins a word of itself and the next one.
-- So any part of a run is a phrase. Characters beyond U+FFFF are words of their own: pairs of them could exceed the limit of a tsvector.
-- The steps: filler around runs, each character doubled around U+000E, and the first one of each run dropped.
create function search_pairs(value text, filler text) returns text
language sql immutable parallel safe
return translate(
    regexp_replace(
        regexp_replace(
            regexp_replace(
                translate(value, E'\x0e', ' '),
                format('%s+|[\U00020000-\U000323AF]', search_unspaced()),
                format('%s\&%1$s', filler),
                'g'
            ),
            format('(%s)', search_unspaced()),
            E'\\1\x0e\\1',
            'g'
        ),
        format(E'%s%s\x0e', filler, search_unspaced()),
        filler,
        'g'
    ),
    E'\x0e',
    filler
);

-- Text as it is given to the parser: identifiers are sequences of words, and their parts are found, too. Lower case, because there
-- are words that grow by it beyond what a tsvector takes, which PostgreSQL does not notice (18.4 writes beyond its memory). Lines with
-- `\n` and the like outside of paths are read twice: `src\new` has `new`, and `one\nHAT136` has `HAT136`.
create or replace function search_plain(value text) returns text
language plpgsql immutable parallel safe as $$
declare
    plain text := value;
    lines text;
    escape constant text := '(?:^|[^\\])(?:\\\\)*(?!\\\\)' || search_escapes();
begin
    if octet_length(plain) <> length(plain) then
        plain := search_folded(plain, ' ');
    end if;
    if strpos(plain, ':') > 0 then
        plain := search_apart(plain, ' ');
    end if;
    plain := lower(regexp_replace(plain, '[-<>&./@+_:~%#=?\\]', ' ', 'g'));
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
    return plain;
end
$$;

-- Typed text with runs of characters without spaces as phrases of pairs, joined by `_`. At the end of a word or of a quotation a single
-- character would demand the end of a run: it is dropped behind a pair, where the text may go on, and is a beginning on its own.
create function search_query_pairs(typed text) returns text
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

-- The tsquery of what somebody typed: words, "phrases", or, -not, and beginnings (`word*`, twenty at most). It never fails;
-- without any term it is empty. What search_separators parts is joined by `_`, so that the parts become a phrase. A beginning
-- stands for itself with anything behind, and for the stems of words that it may become: `passenge*` has to find `passenger`,
-- which is indexed as `passeng`. It is parsed with a marker appended, so that it is neither stemmed nor a stop word. Escapes, as they
-- are copied from JSON or a log, also find line breaks and the like in their place, unless the query excludes words: what one reading
-- excludes, the other would find. [:alnum:] has only ASCII in a database of the locale C: beyond it all that is left are letters.
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

-- The words of a query that are marked, joined by `or`. ts_headline takes time with the square of text and query if it looks for phrases or
-- words together; PostgreSQL 15 runs out of memory.
create function search_terms(query tsquery) returns tsquery
language sql immutable parallel safe
return (
    select coalesce(string_agg(term, ' | ' order by place), '')::tsquery
    from (
        select
            found[2] || coalesce(found[3], '') as term,
            min(place) as place
        from regexp_matches(
            case when querytree(query) = 'T' then query::text else querytree(query) end,
            '(!)?(''(?:[^'']|'''')*'')(:[*])?',
            'g'
        ) with ordinality as matches (found, place)
        where found[1] is null
        group by found[2] || coalesce(found[3], '')
        order by place
        limit 100
    ) as terms
);

-- The parts overlap, and words that their bounds may cut are left out.
create function search_part(language regconfig, query tsquery, value text) returns text
language plpgsql immutable as $$
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
$$;

-- The text with U+000F between what is marked, or not, as a whole: words, what separates them, and characters of scripts without spaces,
-- also those that NFKC makes such.
create function search_pieces(value text, by_escapes boolean) returns text
language sql immutable parallel safe
return replace(
    regexp_replace(
        search_apart(value, E'\x0f'),
        concat(
            '(',
            case when by_escapes then search_escapes() || '|' end,
            E'[-\x01-\x0e\x10-\x20!"$''()*,;^`{|}\x7f\\[\\]]+|',
            case
                when octet_length(value) = length(value) then '[<>&./@+_:~%#=?\\]'
                else concat(
                    search_separators(),
                    '|(?:',
                    search_unspaced(),
                    '|[\uFF66-\uFF9D\u1100-\u115F\uA960-\uA97C\u2E80-\u2FDF\u3200-\u33FF\U00020000-\U000323AF])'
                    '(?:[\u3099\u309A\uFF9E\uFF9F\u1160-\u11FF\uD7B0-\uD7FB]|',
                    search_invisible(),
                    ')*'
                )
            end,
            ')'
        ),
        E'\x0f\\1\x0f',
        'g'
    ),
    E'\x0f\x0f',
    E'\x0f'
);

-- The pieces as search_plain has them, and as many: pairs stand in the piece of their first character, each with U+0002 behind it.
create function search_pieces_plain(pieces text) returns text
language plpgsql immutable parallel safe as $$
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
$$;

create function search_marked(language regconfig, terms tsquery, pieces text) returns text[]
language sql immutable
return string_to_array(
    ts_headline(language, search_pieces_plain(pieces), terms, E'HighlightAll=true, StartSel=\uE000, StopSel=\uE001'),
    E'\x0f'
);

-- Fragments of 61 pieces begin 12 before a hit (that of a short text, with the text). The best have the most different hits; they do not overlap.
create function search_best(marked text[]) returns integer[]
language plpgsql immutable parallel safe as $$
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

-- Pieces that are plain as they are have their own marks, others are marked as a whole. A pair marks the next piece, too, unless its first
-- character alone was typed.
create function search_restored(
    pieces text[], marked text[], terms tsquery, first_place integer, last_place integer
) returns text
language sql immutable parallel safe
return (
    select btrim(replace(
        string_agg(
            case
                when
                    (plain <> piece and strpos(mark, E'\uE000') > 0)
                    or (strpos(mark, E'\uE000') = 0 and is_marked_before)
                    then concat(E'\uE000', piece, E'\uE001')
                when plain = piece then mark
                else piece
            end,
            '' order by place
        ),
        E'\uE001\uE000',
        ''
    ), E' \n\t\r')
    from (
        select
            place,
            piece,
            mark,
            plain,
            lag(
                plain <> piece
                and strpos(terms::text, lower(format('''%s''', substring(mark from E'\uE000([^\uE000]+)\uE001\x02$')))) > 0
            ) over (order by place) as is_marked_before
        from (
            select
                place,
                pieces[place] as piece,
                marked[place] as mark,
                translate(marked[place], E'\uE000\uE001\x02', '') as plain
            from generate_series(greatest(first_place, 1), least(last_place, cardinality(pieces))) as place
        ) as shown_pieces
    ) as marked_pieces
);

-- The fragments of a text that a query matches, hits between U+E000 and U+E001, which the text itself cannot contain. It is the text as it
-- was stored: whoever puts it into a page has to escape it. `\n` is read as a line break if there is no hit otherwise.
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

comment on function search_symbols is 'Returns a regular expression of the characters beyond ASCII that separate words';
comment on function search_paths is 'Returns a regular expression of Windows paths, in which a backslash is no escape';

comment on function search_escapes is 'Returns a regular expression of escapes in JSON and Python, such as \n';
comment on function search_invisible is 'Returns a regular expression of the characters that have no width and separate no words';
comment on function search_combining is 'Returns a regular expression of the blocks that have combining marks';
comment on function search_unspaced is 'Returns a regular expression of a character, with its marks, of scripts without spaces between words';
comment on function search_folded is 'Returns text normalised (NFKC), without invisible characters, with `filler` in place of symbols';
comment on function search_pairs is 'Returns text with pairs of characters as words where a script has no spaces between words, `filler` between them';
comment on function search_plain is 'Returns text as it is given to the parser of words: normalised, lower case, identifiers and paths in parts';
comment on function search_query_pairs is 'Returns typed text with pairs of characters joined by `_` where a script has no spaces between words';
comment on function search_terms is 'Returns the words and beginnings of a query that are not excluded, joined by `or`, at most 100';
comment on function search_part is 'Returns the first 5,000 characters of a text that a query matches; the beginning if it matches none';
comment on function search_pieces is 'Returns text with U+000F between the pieces that a headline marks';
comment on function search_pieces_plain is 'Returns the pieces of search_pieces as they are given to the parser of words';
comment on function search_marked is 'Returns the pieces of search_pieces as an array, normalised, hits between U+E000 and U+E001';
comment on function search_best is 'Returns the places of at most three hits among marked pieces that have the most different hits around them';
comment on function search_restored is 'Returns pieces from one place to another as text, as it was stored, with the marks that it has when normalised';
