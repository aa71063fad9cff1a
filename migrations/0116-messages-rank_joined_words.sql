-- depends: 0115-imports-create
-- Words that are typed one after the other and written as one, as `get user` in `getUserById`, count as spelled so, and in this order.
set local lock_timeout = '5s';

-- Returns patterns (regular expressions) for the words of `typed` that are not excluded, ten at most, and for the words one after the
-- other. A word of letters and digits only needs no escapes. Words of scripts without spaces have no boundaries. In JSON, `\n` and `\t` are
-- boundaries, too; lower(), replace() and `\m` took four times as long as these patterns.
create or replace function search_spelling(typed text, out words text[], out phrase text)
language sql immutable
as $$
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
$$;
