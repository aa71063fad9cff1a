-- depends: 0103-session_participants-allow_export
-- Ranks the best hits of a search a second time, for queries/search.sql: by the spelling and the order of the words as they were typed.
-- The stored words (tsvector) are stems. Of those only their number, their kind and their distances count.
set local lock_timeout = '5s';

-- Returns patterns (regular expressions) for the words of `typed` that are not excluded, ten at most, and for the words one after the
-- other. A word of letters and digits only needs no escapes. Words of scripts without spaces have no boundaries. In JSON, `\n` and `\t` are
-- boundaries, too; lower(), replace() and `\m` took four times as long as these patterns.
create function search_spelling(typed text, out words text[], out phrase text)
language sql immutable
as $$
select
    coalesce(
        array_agg(
            case
                when is_unspaced then word
                else format('(?:^|[^[:alnum:]]|\\[nt])%s(?:$|[^[:alnum:]])', word)
            end
            order by place
        ),
        '{}'
    ),
    case
        when count(*) > 1 and not bool_or(is_unspaced) then format(
            '(?:^|[^[:alnum:]]|\\[nt])%s(?:$|[^[:alnum:]])',
            string_agg(word, '(?:[^[:alnum:]]|\\[nt])+' order by place)
        )
    end
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
$$;

-- Returns the rank of a hit, above 0 and below 1, for weights of queries/search.sql. It has no subquery, so that PostgreSQL puts the body in
-- place of the call:
--   kind_rank   ts_rank of the hit: the kind of its words, and near ones before distant ones. Its power `kind` is a factor
--   spelled     share of the typed words that are spelled so in the text, null if that is not known. It counts from `stem` to 1, squared
--   is_phrase   true if the words follow each other as they were typed: the factor 1 + `in_order`
--   word_count  number of different words: `fewest` at least, compared with `usual`, by BM25's formula with `saturation` (k1) and
--               `length` (b)
create function search_score(
    kind_rank real,
    spelled double precision,
    is_phrase boolean,
    word_count integer,
    kind double precision,
    stem double precision,
    in_order double precision,
    saturation double precision,
    length double precision,
    fewest integer,
    usual integer
) returns double precision
language sql immutable
as $$
select greatest(kind_rank, 1e-6)::double precision ^ kind
    * (stem + (1 - stem) * coalesce(spelled, 1)) ^ 2
    * (1 + in_order * (is_phrase is true)::integer) / (1 + in_order)
    / (1 + saturation * (1 - length + length * greatest(word_count, fewest) / usual))
$$;

comment on function search_spelling is 'Returns regular expressions for typed words that are not excluded, and for these words in this order';
comment on function search_score is 'Returns the rank of one of the best hits of a search by kind, spelling, order and number of words, above 0 and below 1';
