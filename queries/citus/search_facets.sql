-- name: count(actor_id, q, session_id, config_id, tags, message_role, author_user_id, tool, since, until, most_counted, most_values)
-- How many of the newest `most_counted` hits of a search are of each role, author, called tool, config and month (UTC), as the query of
-- the folder above counts them. Each shard searches the sessions that it has, and says all of its hits.
-- @param  actor_id        user_id of the caller
-- @param  q               what was typed
-- @param  session_id      only in this session, or null
-- @param  config_id       only in sessions of this config, or null
-- @param  tags            a JSON object that the session's tags must contain, or an array of objects, one of which they must
-- @param  message_role    only messages of this role, or null
-- @param  author_user_id  only messages that this user added, or null
-- @param  tool            only messages that call the tool of this name, or null
-- @param  since           only what is as new as this, or null
-- @param  until           only what is older than this, or null
-- @param  most_counted    hits at most that are counted
-- @param  most_values     values at most of each facet
-- @return FacetCount[]
-- @access participant
-- @shards all
-- @index  none
-- @cte    my_languages    the languages of the caller's sessions
-- @cte    my_queries      the tsquery for each language and right; `rank_query` is without what is excluded
-- @cte    newest_matches  the hits to count and one more
-- @cte    hits            what is counted of each hit
-- @cte    counts          the hits of each value
-- @cte    ranked_counts   the place of each value in its facet
with my_languages as materialized (
    select distinct coalesce(s.search_language, search_default_language()) as language
    from session_participants as p
    inner join sessions as s on s.session_id = p.session_id
    where p.user_id = :actor_id
),

my_queries as materialized (
    select
        l.language,
        l.configuration,
        r.may_write,
        v.query,
        case when querytree(v.query) = 'T' then v.query else querytree(v.query)::tsquery end as rank_query
    from (
        select
            language,
            coalesce(search_language(language), search_default_language()) as configuration
        from my_languages
        offset 0
    ) as l
    cross join lateral search_query(l.configuration::regconfig, :q) as t (query)
    cross join (values (true), (false)) as r (may_write)
    cross join lateral (
        select case when r.may_write then t.query else search_query_within(t.query, 'ABC') end as query
        offset 0
    ) as v
    where numnode(t.query) > 0
),

newest_matches as materialized (
    select *
    from (
        select
            m.session_id,
            m.seq,
            m.created_at,
            m.role,
            m.author_user_id,
            message_tools(m.message) as tools,
            s.config_id
        from session_participants as p
        inner join sessions as s on s.session_id = p.session_id
        inner join my_queries as q
            on q.language = coalesce(s.search_language, search_default_language())
            and q.may_write = may_send(p.role, p.permissions)
        inner join messages as m on m.session_id = p.session_id
        where
            p.user_id = :actor_id
            and (:session_id::text is null or p.session_id = :session_id)
            and (:config_id::text is null or s.config_id = :config_id)
            and s.tags @> any(array(select jsonb_path_query(:tags::jsonb, '$[*]')))
            and m.search @@ q.query
            and (:message_role::text is null or m.role = :message_role)
            and (:author_user_id::text is null or m.author_user_id = :author_user_id)
            and (:since::timestamptz is null or m.created_at >= :since)
            and (:until::timestamptz is null or m.created_at < :until)
            and (:tool::text is null or :tool = any(message_tools(m.message)))
        union all
        select
            s.session_id,
            0 as seq,
            s.created_at,
            null as role,
            null as author_user_id,
            null as tools,
            s.config_id
        from session_participants as p
        inner join sessions as s on s.session_id = p.session_id
        inner join my_queries as q
            on q.language = coalesce(s.search_language, search_default_language())
            and q.may_write = may_send(p.role, p.permissions)
        where
            p.user_id = :actor_id
            and (:session_id::text is null or p.session_id = :session_id)
            and (:config_id::text is null or s.config_id = :config_id)
            and s.tags @> any(array(select jsonb_path_query(:tags::jsonb, '$[*]')))
            and s.search @@ q.query
            and querytree(q.query) <> 'T'
            and :message_role::text is null
            and :author_user_id::text is null
            and :tool::text is null
            and (:since::timestamptz is null or s.created_at >= :since)
            and (:until::timestamptz is null or s.created_at < :until)
    ) as matches
    order by
        created_at desc,
        session_id desc,
        seq desc
    limit :most_counted::bigint + 1
),

hits as materialized (
    select
        config_id,
        role,
        author_user_id,
        tools,
        to_char(created_at at time zone 'UTC', 'YYYY-MM') as month
    from (
        select *
        from newest_matches
        order by
            created_at desc,
            session_id desc,
            seq desc
        limit :most_counted
    ) as n
),

counts as (
    select
        v.facet,
        v.value,
        count(*) as count
    from hits as h
    cross join lateral (
        values
        ('role', h.role),
        ('author', h.author_user_id),
        ('config', h.config_id),
        ('month', h.month)
        union all
        select distinct
            'tool',
            t.name
        from unnest(h.tools) as t (name)
    ) as v (facet, value)
    where v.value is not null
    group by
        v.facet,
        v.value
),

ranked_counts as (
    select
        facet,
        value,
        count,
        row_number() over (
            partition by facet
            order by
                count desc,
                value
        ) as place
    from counts
)

select
    r.facet,
    r.value,
    c.name,
    r.count,
    n.counted
from ranked_counts as r
cross join (select count(*) as counted from newest_matches) as n
left join configs as c on r.facet = 'config' and c.config_id = r.value and c.user_id = :actor_id
where r.place <= :most_values
order by
    r.facet,
    r.place;
