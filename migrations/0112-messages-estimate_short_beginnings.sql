-- depends: 0111-messages-walk_search
-- A search for a short beginning (`abc*`) in a large table reads the caller's sessions. It gathered all rows with its words, because the
-- statistics, which do not know most words, took them for few: 3 s among ten million messages.
set local lock_timeout = '5s';

-- Returns how many messages have the words of a query. The statistics know only frequent words, and none before the first `analyze`: what
-- they do not know is counted up to `most`, and from there on is at least four times that. Beginnings are never counted, because that
-- gathers the rows of all their words; null stands for those that nothing is known about, and a tenth of the estimate for those of four
-- characters and more, for which it is too high by about as much. For shorter ones it may be far too low.
create or replace function search_estimate(query tsquery, most bigint) returns bigint
language plpgsql as $$
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
$$;
