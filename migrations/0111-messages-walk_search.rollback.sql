set local lock_timeout = '5s';

-- Returns the messages in which `typed` is found, and the sessions in whose title or tags it is (as seq 0), of the sessions that
-- `reader_id` takes part in. A filter that is null leaves all. No join of words and sessions is left to the planner, which cannot know
-- how many sessions a user has or how often a word occurs, and whose generic plan took seconds. A search goes one of three ways:
--   words     if the statistics say that fewer messages have the words than the reader has sessions (for beginnings: a tenth of the
--             messages), and the reader has more than 100: the indexes give the rows with the words, and each is looked up among the
--             participants
--   both      otherwise the reader's sessions are gathered and grouped by the language that they are indexed in and by what the reader
--             may see, fifty sessions of about one time to a group. The index intersects each group's rows with those of the words
--             (`array[session_id] && ...` and `@@`): neither messages of others nor those without the words are looked at
--   sessions  for beginnings (`word*`), whose rows would be gathered once for each group, and for queries that only exclude words: the
--             messages of the sessions are read one after the other; `is true` keeps `@@` from the index
-- `with_tags` is a JSON object that a session's tags must contain, or an array of objects, one of which they must.
-- `offset 0` keeps each step where it is. A way that is not taken is `One-Time Filter: false` or never executed.
--   all_queries     the tsqueries of all languages
--   rarity          whether the search goes by words
--   my_sessions     the reader's sessions that the filters leave, unless it goes by words
--   my_queries      the tsquery for each language and right among them; `rank_query` is without what is excluded
--   session_groups  their ids in groups, of fifty for the way both, else all in one
--   rare_queries    the tsqueries if it goes by words
--   matches         messages by both or sessions; titles and tags of my_sessions; messages, titles and tags by words
create or replace function search_matches(
    reader_id text,
    typed text,
    only_owned boolean,
    of_session_id text,
    of_config_id text,
    with_tags jsonb,
    of_role text,
    of_author_user_id text,
    calling_tool text,
    since timestamptz,
    until timestamptz
)
returns table (
    language text,
    configuration regconfig,
    may_write boolean,
    query tsquery,
    rank_query tsquery,
    session_id text,
    seq bigint,
    created_at timestamptz,
    search tsvector
)
language sql stable
as $$
with all_queries as materialized (
    select *
    from search_queries(typed)
),

rarity as materialized (
    select
        m.sessions > 100
        and (
            select sum(search_estimate(writer_query) / case when writer_query::text like '%'':*%' then 10 else 1 end)
            from all_queries
        ) < m.sessions as is_rare
    from (
        select count(*) as sessions
        from (
            select
            from session_participants
            where user_id = reader_id
            limit 5000
        ) as counted_sessions
    ) as m
),

my_sessions as materialized (
    select
        p.session_id,
        s.created_at,
        s.search,
        coalesce(s.search_language, search_default_language()) as language,
        may_send(p.role, p.permissions) as may_write
    from session_participants as p
    cross join lateral (
        select
            config_id,
            tags,
            created_at,
            search,
            search_language
        from sessions
        where session_id = p.session_id
        offset 0
    ) as s
    where
        p.user_id = reader_id
        and (not only_owned or p.role = 'owner')
        and (select is_rare from rarity) is not true
        and (of_session_id is null or p.session_id = of_session_id)
        and (of_config_id is null or s.config_id = of_config_id)
        and s.tags @> any(array(select jsonb_path_query(with_tags, '$[*]')))
),

my_queries as materialized (
    select
        l.language,
        l.may_write,
        q.configuration,
        v.query,
        case when querytree(v.query) = 'T' then v.query else querytree(v.query)::tsquery end as rank_query,
        case
            when querytree(v.query) = 'T' or v.query::text like '%'':*%' then 'sessions'
            else 'both'
        end as first_by
    from (
        select
            language,
            may_write
        from my_sessions
        group by
            language,
            may_write
        offset 0
    ) as l
    inner join all_queries as q on q.language = l.language
    cross join lateral (
        select case when l.may_write then q.writer_query else q.reader_query end as query
        offset 0
    ) as v
),

session_groups as materialized (
    select
        q.language,
        q.configuration,
        q.may_write,
        q.query,
        q.rank_query,
        q.first_by,
        s.session_ids
    from my_queries as q
    cross join lateral (
        select array_agg(n.session_id) as session_ids
        from (
            select
                session_id,
                row_number() over (order by created_at) as number
            from my_sessions
            where
                language = q.language
                and may_write = q.may_write
        ) as n
        group by case when q.first_by = 'both' then n.number / 50 end
    ) as s
),

rare_queries as materialized (
    select
        language,
        configuration,
        writer_query,
        reader_query,
        writer_query || reader_query as any_query,
        case when querytree(writer_query) = 'T' then writer_query else querytree(writer_query)::tsquery end as rank_query
    from all_queries
    where (select is_rare from rarity)
),

matches as (
    select
        g.language,
        g.configuration,
        g.may_write,
        g.query,
        g.rank_query,
        m.session_id,
        m.seq,
        m.created_at,
        m.search
    from session_groups as g
    cross join lateral (
        select
            session_id,
            seq,
            role,
            author_user_id,
            created_at,
            message,
            search
        from messages
        where
            g.first_by = 'both'
            and array[session_id] && g.session_ids
            and search @@ g.query
        union all
        select m.*
        from unnest(g.session_ids) as s (session_id)
        cross join lateral (
            select
                session_id,
                seq,
                role,
                author_user_id,
                created_at,
                message,
                search
            from messages
            where
                session_id = s.session_id
                and (search @@ g.query) is true
            offset 0
        ) as m
        where g.first_by = 'sessions'
    ) as m
    where
        (of_role is null or m.role = of_role)
        and (of_author_user_id is null or m.author_user_id = of_author_user_id)
        and (since is null or m.created_at >= since)
        and (until is null or m.created_at < until)
        and (calling_tool is null or calling_tool = any(message_tools(m.message)))
    union all
    select
        q.language,
        q.configuration,
        q.may_write,
        q.query,
        q.rank_query,
        s.session_id,
        0 as seq,
        s.created_at,
        s.search
    from my_queries as q
    inner join my_sessions as s on s.language = q.language and s.may_write = q.may_write
    where
        s.search @@ q.query
        and querytree(q.query) <> 'T'
        and of_role is null
        and of_author_user_id is null
        and calling_tool is null
        and (since is null or s.created_at >= since)
        and (until is null or s.created_at < until)
    union all
    select
        q.language,
        q.configuration,
        r.may_write,
        case when r.may_write then q.writer_query else q.reader_query end as query,
        q.rank_query,
        m.session_id,
        m.seq,
        m.created_at,
        m.search
    from rare_queries as q
    cross join lateral (
        select
            session_id,
            seq,
            role,
            author_user_id,
            created_at,
            message,
            search
        from messages
        where search @@ q.any_query
        union all
        select
            session_id,
            0 as seq,
            null as role,
            null as author_user_id,
            created_at,
            null as message,
            search
        from sessions
        where
            search @@ q.any_query
            and querytree(q.writer_query) <> 'T'
    ) as m
    cross join lateral (
        select may_send(p.role, p.permissions) as may_write
        from session_participants as p
        cross join lateral (
            select
                config_id,
                tags,
                search_language
            from sessions
            where session_id = p.session_id
            offset 0
        ) as s
        where
            p.session_id = m.session_id
            and p.user_id = reader_id
            and (not only_owned or p.role = 'owner')
            and (of_session_id is null or p.session_id = of_session_id)
            and (of_config_id is null or s.config_id = of_config_id)
            and s.tags @> any(array(select jsonb_path_query(with_tags, '$[*]')))
            and coalesce(s.search_language, search_default_language()) = q.language
        offset 0
    ) as r
    where
        m.search @@ case when r.may_write then q.writer_query else q.reader_query end
        and (of_role is null or m.role = of_role)
        and (of_author_user_id is null or m.author_user_id = of_author_user_id)
        and (since is null or m.created_at >= since)
        and (until is null or m.created_at < until)
        and (calling_tool is null or calling_tool = any(message_tools(m.message)))
)

select
    language,
    configuration,
    may_write,
    query,
    rank_query,
    session_id,
    seq,
    created_at,
    search
from matches
$$;

drop function search_matches(
    text, text, boolean, text, text, jsonb, text, text, text, timestamptz, timestamptz, bigint, timestamptz, text, bigint
);

drop function search_estimate(tsquery, bigint);
