set local lock_timeout = '5s';

-- Returns how many messages have the words of a query. The statistics know only frequent words, and none before the first `analyze`: what
-- they do not know is counted up to `most`, and from there on is at least four times that. Beginnings are never counted, because that
-- gathers the rows of all their words; null stands for those that nothing is known about, and a tenth of the estimate for others, which
-- is too high by about as much.
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
            ) then matches / 10
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
