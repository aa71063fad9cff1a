-- name: count(actor_id, q, session_id, config_id, tags, message_role, author_user_id, tool, since, until, most_counted, most_values)
-- How many of the newest `most_counted` hits of a search are of each role, author, called tool, config and month (UTC): the most
-- frequent `most_values` of each. The hits are those of search.list_messages, of which only configs and months have titles and tags.
-- `counted` is above `most_counted` if older hits were left out. A config has its name if it is the caller's.
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
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx, sessions_pkey, sessions_search_idx, messages_search_idx, messages_pkey
-- @cte    newest_matches  the hits to count and one more
-- @cte    hits            what is counted of each hit
-- @cte    counts          the hits of each value
-- @cte    ranked_counts   the place of each value in its facet
with newest_matches as materialized (
    select
        session_id,
        seq,
        created_at
    from search_matches(
        :actor_id,
        :q,
        false,
        :session_id,
        :config_id,
        :tags,
        :message_role,
        :author_user_id,
        :tool,
        :since,
        :until
    )
    order by
        created_at desc,
        session_id desc,
        seq desc
    limit :most_counted::bigint + 1
),

hits as materialized (
    select
        s.config_id,
        m.role,
        m.author_user_id,
        m.tools,
        to_char(n.created_at at time zone 'UTC', 'YYYY-MM') as month
    from (
        select *
        from newest_matches
        order by
            created_at desc,
            session_id desc,
            seq desc
        limit :most_counted
    ) as n
    inner join session_participants as p on p.session_id = n.session_id and p.user_id = :actor_id
    inner join sessions as s on s.session_id = n.session_id
    left join lateral (
        select
            role,
            author_user_id,
            message_tools(message) as tools
        from messages
        where
            session_id = n.session_id
            and seq = n.seq
        offset 0
    ) as m on true
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
    (select count(*) from newest_matches) as counted
from ranked_counts as r
left join configs as c on r.facet = 'config' and c.config_id = r.value and c.user_id = :actor_id
where r.place <= :most_values
order by
    r.facet,
    r.place;
