set local lock_timeout = '5s';

create or replace function search_spelling(typed text, out words text[], out phrase text)
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
