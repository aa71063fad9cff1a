-- name: list_messages(actor_id, q, vector, session_id, config_id, tags, message_role, author_user_id, tool, since, until, most, offset, limit, context)
-- The messages whose meaning is most similar to `vector`, the embedding of `q`, in the sessions that the caller takes part in, the most
-- similar first. What agents thought was not embedded, and is not shown. message_embeddings_nearest in the migrations compares; each
-- hit is shown through the participants once more.
-- @param  actor_id        user_id of the caller
-- @param  q               what was typed, whose words are marked where a hit has them
-- @param  vector          its embedding
-- @param  session_id      only in this session, or null
-- @param  config_id       only in sessions of this config, or null
-- @param  tags            a JSON object that the session's tags must contain, or an array of objects, one of which they must
-- @param  message_role    only messages of this role, or null
-- @param  author_user_id  only messages that this user added, or null
-- @param  tool            only messages that call the tool of this name, or null
-- @param  since           only what is as new as this, or null
-- @param  until           only what is older than this, or null
-- @param  most            hits at most on all pages
-- @param  offset          hits to skip
-- @param  limit           rows at most
-- @param  context         messages at most to show before and after each
-- @return SimilarMessage[]
-- @access participant
-- @shards all
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx, sessions_pkey, messages_pkey
-- @cte    my_sessions  the caller's sessions that the filters leave
-- @cte    page         the hits to show
with my_sessions as materialized (
    select
        p.session_id,
        s.messages_total
    from session_participants as p
    cross join lateral (
        select
            config_id,
            tags,
            messages_total
        from sessions
        where session_id = p.session_id
        offset 0
    ) as s
    where
        p.user_id = :actor_id
        and (:session_id::text is null or p.session_id = :session_id)
        and (:config_id::text is null or s.config_id = :config_id)
        and s.tags @> any(array(select jsonb_path_query(:tags::jsonb, '$[*]')))
),

page as materialized (
    select
        n.session_id,
        n.seq,
        n.similarity
    from (
        select
            array_agg(session_id) as session_ids,
            sum(messages_total)::bigint as messages
        from my_sessions
    ) as m
    cross join lateral message_embeddings_nearest(
        m.session_ids,
        m.messages,
        :vector::real[],
        :message_role::text,
        :author_user_id::text,
        :tool::text,
        :since::timestamptz,
        :until::timestamptz,
        :most::integer
    ) as n
    order by
        n.similarity desc,
        n.session_id desc,
        n.seq desc
    limit :limit
    offset :offset
)

select
    p.session_id,
    s.title,
    p.seq,
    m.role,
    m.author_user_id,
    m.created_at,
    p.similarity::real as rank,
    search_headline(
        q.configuration,
        search_query(q.configuration, :q),
        (select concat_ws(E'\n', said, called, returned) from message_texts(m.message))
    ) as headline,
    (
        select coalesce(jsonb_agg(to_jsonb(c) order by c.seq), '[]')
        from (
            select
                n.seq,
                n.role,
                n.author_user_id,
                n.created_at,
                left(concat_ws(E'\n', t.said, t.called, t.returned), 1000) as text
            from messages as n
            cross join lateral message_texts(n.message) as t
            where
                n.session_id = p.session_id
                and n.seq < p.seq
            order by n.seq desc
            limit :context
        ) as c
    ) as before,
    (
        select coalesce(jsonb_agg(to_jsonb(c) order by c.seq), '[]')
        from (
            select
                n.seq,
                n.role,
                n.author_user_id,
                n.created_at,
                left(concat_ws(E'\n', t.said, t.called, t.returned), 1000) as text
            from messages as n
            cross join lateral message_texts(n.message) as t
            where
                n.session_id = p.session_id
                and n.seq > p.seq
            order by n.seq
            limit :context
        ) as c
    ) as after,
    now() as searched_at
from page as p
inner join sessions as s on s.session_id = p.session_id
inner join session_participants as a on a.session_id = p.session_id and a.user_id = :actor_id
inner join messages as m on m.session_id = p.session_id and m.seq = p.seq
cross join lateral (
    select coalesce(search_language(s.search_language), search_default_language())::regconfig as configuration
) as q
order by
    p.similarity desc,
    p.session_id desc,
    p.seq desc;
