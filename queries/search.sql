-- name: list_messages(actor_id, q, session_id, config_id, tags, message_role, author_user_id, tool, since, until, by_rank, after_rank, after_created_at, after_session_id, after_seq, most_ranked, limit, context)
-- What `q` finds in the sessions that the caller takes part in: messages, and sessions by their title and tags (as seq 0, without
-- a role), best or newest first. What agents thought is searched and shown only where the caller may write.
--
-- How it is planned. No join of words and sessions is left to the planner, which cannot know how many sessions somebody has or how
-- often a word comes, and whose generic plan took seconds. A search goes one of three ways:
--   words     where the statistics say that there are fewer messages with the words than the caller has sessions (for beginnings, ten
--             times as many), and these are more than 100 (`rarity`): the rows with the words come from the indexes, and each is
--             looked up among the participants
--   both      else the sessions are gathered (`my_sessions`), grouped by the language that they were indexed in and by what the
--             caller may see there, fifty of about one time to a group. The index intersects each group's rows with the words'
--             (`array[session_id] && ...` and `@@`): neither others' messages nor those without the words are looked at
--   sessions  for beginnings (`word*`), which would be gathered once for each group, and for queries that only say what is not in a
--             message: the sessions' messages are read one after the other; `is true` keeps `@@` from the index
-- `offset 0` keeps each step where it stands. Ways not taken are `One-Time Filter: false` or never executed. The generic plan is the same
-- as the custom one, and is what the service uses. Whatever way a hit came, it is shown through the participants once more. Rank
-- is computed for the newest `most_ranked` matches, headlines for the page only. D, C, B and A count 0.1 to
-- 1; it is divided by the length of the message (2) and its different words (8), as BM25 does in its way, and by itself + 1 (32), so that
-- it stays below 1. What must not be in a message does not count. `ranked` is above `most_ranked` where older matches were left out.
-- @param  actor_id          user_id of the caller
-- @param  q                 what was typed; see search_query in the migrations
-- @param  session_id        only in this session, or null
-- @param  config_id         only in sessions of this config, or null
-- @param  tags              a JSON object that the session's tags must contain
-- @param  message_role      only messages of this role, or null
-- @param  author_user_id    only messages that this user added, or null
-- @param  tool              only messages that call the tool of this name, or null
-- @param  since             only what is as new as this, or null
-- @param  until             only what is older than this, or null
-- @param  by_rank           true for the best first, false for the newest first
-- @param  after_rank        position of the last row of the page before
-- @param  after_created_at  the same
-- @param  after_session_id  the same
-- @param  after_seq         the same
-- @param  most_ranked       matches at most that are ranked
-- @param  limit             rows at most
-- @param  context           messages at most to show before and after each
-- @return FoundMessage[]
-- @access participant
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx, sessions_pkey, sessions_search_idx, messages_search_idx, messages_pkey
with recursive other_languages as (
    select min(search_language) as language
    from sessions
    where search_language is not null
    union all
    select (select min(search_language) from sessions where search_language > o.language)
    from other_languages as o
    where o.language is not null
),

all_queries as materialized (
    select
        l.language,
        l.configuration,
        t.query as writer_query,
        search_query_within(t.query, 'ABC') as reader_query
    from (
        select
            language,
            coalesce(search_language(language), search_default_language())::regconfig as configuration
        from (
            select search_default_language() as language
            union
            select language
            from other_languages
            where language is not null
        ) as languages
        offset 0
    ) as l
    cross join lateral search_query(l.configuration, :q) as t (query)
    where numnode(t.query) > 0
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
            where user_id = :actor_id
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
        coalesce((p.permissions ->> 'send')::boolean, p.role in ('owner', 'editor')) as may_write
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
        p.user_id = :actor_id
        and (select is_rare from rarity) is not true
        and (:session_id::text is null or p.session_id = :session_id)
        and (:config_id::text is null or s.config_id = :config_id)
        and s.tags @> :tags
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
        (:message_role::text is null or m.role = :message_role)
        and (:author_user_id::text is null or m.author_user_id = :author_user_id)
        and (:since::timestamptz is null or m.created_at >= :since)
        and (:until::timestamptz is null or m.created_at < :until)
        and (:tool::text is null or :tool = any(message_tools(m.message)))
    union all
    select
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
        and :message_role is null
        and :author_user_id is null
        and :tool is null
        and (:since is null or s.created_at >= :since)
        and (:until is null or s.created_at < :until)
    union all
    select
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
        select coalesce((p.permissions ->> 'send')::boolean, p.role in ('owner', 'editor')) as may_write
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
            and p.user_id = :actor_id
            and (:session_id is null or p.session_id = :session_id)
            and (:config_id is null or s.config_id = :config_id)
            and s.tags @> :tags
            and coalesce(s.search_language, search_default_language()) = q.language
        offset 0
    ) as r
    where
        m.search @@ case when r.may_write then q.writer_query else q.reader_query end
        and (:message_role is null or m.role = :message_role)
        and (:author_user_id is null or m.author_user_id = :author_user_id)
        and (:since is null or m.created_at >= :since)
        and (:until is null or m.created_at < :until)
        and (:tool is null or :tool = any(message_tools(m.message)))
),

newest_matches as materialized (
    select *
    from matches
    where
        :by_rank::boolean
        or (created_at, session_id, seq) < (:after_created_at, :after_session_id::text, :after_seq::bigint)
    order by
        created_at desc,
        session_id desc,
        seq desc
    limit case when :by_rank then :most_ranked::bigint + 1 else :limit::bigint end
),

page as (
    select *
    from (
        select
            configuration,
            may_write,
            query,
            session_id,
            seq,
            created_at,
            ts_rank(
                '{0.1, 0.5, 0.7, 1}',
                case when may_write then search else ts_filter(search, '{a, b, c}') end,
                rank_query,
                42
            ) as rank
        from (
            select *
            from newest_matches
            order by
                created_at desc,
                session_id desc,
                seq desc
            limit :most_ranked
        ) as counted_matches
    ) as ranked_matches
    where
        not :by_rank
        or (rank, created_at, session_id, seq) < (:after_rank::real, :after_created_at, :after_session_id, :after_seq)
    order by
        case when :by_rank then rank end desc,
        created_at desc,
        session_id desc,
        seq desc
    limit :limit
)

select
    p.session_id,
    s.title,
    p.seq,
    m.role,
    m.author_user_id,
    p.created_at,
    p.rank,
    search_headline(
        p.configuration,
        p.query,
        case
            when p.seq = 0 then session_text(s.title, s.tags)
            else (
                select concat_ws(E'\n', said, called, returned, case when p.may_write then thought end)
                from message_texts(m.message)
            )
        end
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
                and p.seq > 0
            order by n.seq
            limit :context
        ) as c
    ) as after,
    now() as searched_at,
    (select count(*) from newest_matches) as ranked
from page as p
inner join sessions as s on s.session_id = p.session_id
inner join session_participants as a on a.session_id = p.session_id and a.user_id = :actor_id
left join lateral (
    select
        message,
        role,
        author_user_id
    from messages
    where
        session_id = p.session_id
        and seq = p.seq
    offset 0
) as m on true
order by
    case when :by_rank then p.rank end desc,
    p.created_at desc,
    p.session_id desc,
    p.seq desc;


-- name: list_sessions(actor_id, q, owned, tags, until, after_rank, after_matched_at, after_session_id, most_ranked, limit, offset)
-- The sessions that the caller takes part in and in which `q` finds something, the one with the best hit first; with the number of
-- hits (messages, and the title with the tags as one), the best one's headline, and how many sessions there are. It
-- finds as list_messages does. Sessions all of whose hits are older than the newest `most_ranked` come last.
-- @param  actor_id          user_id of the caller
-- @param  q                 what was typed
-- @param  owned             true for only those in which the caller is an owner
-- @param  tags              a JSON object that the tags must contain
-- @param  until             only hits older than this, or null
-- @param  after_rank        position of the last row of the page before
-- @param  after_matched_at  the same
-- @param  after_session_id  the same
-- @param  most_ranked       matches at most that are ranked
-- @param  limit             rows at most
-- @param  offset            rows to skip
-- @return FoundSession[]
-- @access participant
-- @index  session_participants_user_id_idx, session_participants_pkey, sessions_pkey, sessions_search_idx, messages_search_idx, messages_pkey
with recursive other_languages as (
    select min(search_language) as language
    from sessions
    where search_language is not null
    union all
    select (select min(search_language) from sessions where search_language > o.language)
    from other_languages as o
    where o.language is not null
),

all_queries as materialized (
    select
        l.language,
        l.configuration,
        t.query as writer_query,
        search_query_within(t.query, 'ABC') as reader_query
    from (
        select
            language,
            coalesce(search_language(language), search_default_language())::regconfig as configuration
        from (
            select search_default_language() as language
            union
            select language
            from other_languages
            where language is not null
        ) as languages
        offset 0
    ) as l
    cross join lateral search_query(l.configuration, :q) as t (query)
    where numnode(t.query) > 0
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
            where user_id = :actor_id
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
        coalesce((p.permissions ->> 'send')::boolean, p.role in ('owner', 'editor')) as may_write
    from session_participants as p
    cross join lateral (
        select
            tags,
            created_at,
            search,
            search_language
        from sessions
        where session_id = p.session_id
        offset 0
    ) as s
    where
        p.user_id = :actor_id
        and (select is_rare from rarity) is not true
        and (not :owned::boolean or p.role = 'owner')
        and s.tags @> :tags
),

my_queries as materialized (
    select
        l.language,
        l.may_write,
        q.configuration,
        v.query,
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
        q.may_write,
        q.query,
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
        writer_query || reader_query as any_query
    from all_queries
    where (select is_rare from rarity)
),

matches as materialized (
    select
        g.language,
        g.may_write,
        m.session_id,
        m.seq,
        m.created_at
    from session_groups as g
    cross join lateral (
        select
            session_id,
            seq,
            created_at
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
                created_at
            from messages
            where
                session_id = s.session_id
                and (search @@ g.query) is true
            offset 0
        ) as m
        where g.first_by = 'sessions'
    ) as m
    where (:until::timestamptz is null or m.created_at < :until)
    union all
    select
        q.language,
        q.may_write,
        s.session_id,
        0 as seq,
        s.created_at
    from my_queries as q
    inner join my_sessions as s on s.language = q.language and s.may_write = q.may_write
    where
        s.search @@ q.query
        and querytree(q.query) <> 'T'
        and (:until is null or s.created_at < :until)
    union all
    select
        q.language,
        r.may_write,
        m.session_id,
        m.seq,
        m.created_at
    from rare_queries as q
    cross join lateral (
        select
            session_id,
            seq,
            created_at,
            search
        from messages
        where search @@ q.any_query
        union all
        select
            session_id,
            0 as seq,
            created_at,
            search
        from sessions
        where
            search @@ q.any_query
            and querytree(q.writer_query) <> 'T'
    ) as m
    cross join lateral (
        select coalesce((p.permissions ->> 'send')::boolean, p.role in ('owner', 'editor')) as may_write
        from session_participants as p
        cross join lateral (
            select
                tags,
                search_language
            from sessions
            where session_id = p.session_id
            offset 0
        ) as s
        where
            p.session_id = m.session_id
            and p.user_id = :actor_id
            and (not :owned or p.role = 'owner')
            and s.tags @> :tags
            and coalesce(s.search_language, search_default_language()) = q.language
        offset 0
    ) as r
    where
        m.search @@ case when r.may_write then q.writer_query else q.reader_query end
        and (:until is null or m.created_at < :until)
),

shown_queries as (
    select
        language,
        true as may_write,
        configuration,
        writer_query as query
    from all_queries
    union all
    select
        language,
        false as may_write,
        configuration,
        reader_query as query
    from all_queries
),

best_matches as (
    select distinct on (n.session_id)
        n.session_id,
        n.seq,
        ts_rank(
            '{0.1, 0.5, 0.7, 1}',
            case when n.may_write then m.search else ts_filter(m.search, '{a, b, c}') end,
            case when querytree(q.query) = 'T' then q.query else querytree(q.query)::tsquery end,
            42
        ) as rank
    from (
        select *
        from matches
        order by
            created_at desc,
            session_id desc,
            seq desc
        limit :most_ranked
    ) as n
    inner join shown_queries as q on q.language = n.language and q.may_write = n.may_write
    cross join lateral (
        select search
        from messages
        where
            session_id = n.session_id
            and seq = n.seq
        union all
        select search
        from sessions
        where
            session_id = n.session_id
            and n.seq = 0
        offset 0
    ) as m
    order by
        n.session_id,
        rank desc,
        n.seq desc
),

found_sessions as (
    select
        m.session_id,
        m.language,
        m.may_write,
        m.hits,
        m.matched_at,
        coalesce(b.seq, m.newest_seq) as seq,
        coalesce(b.rank, 0) as rank,
        count(*) over () as total
    from (
        select
            session_id,
            language,
            may_write,
            count(*) as hits,
            max(created_at) as matched_at,
            max(seq) as newest_seq
        from matches
        group by
            session_id,
            language,
            may_write
    ) as m
    left join best_matches as b on b.session_id = m.session_id
),

page as (
    select *
    from found_sessions
    where (rank, matched_at, session_id) < (:after_rank::real, :after_matched_at, :after_session_id::text)
    order by
        rank desc,
        matched_at desc,
        session_id desc
    limit :limit
    offset :offset
)

select
    s.session_id,
    s.config_id,
    s.status,
    s.message_count,
    s.created_at,
    s.updated_at,
    s.title,
    s.tags,
    a.role,
    s.last_seq,
    a.last_read_seq,
    case when a.last_read_seq < s.last_seq then count_unread(s.session_id, :actor_id, a.last_read_seq) else 0 end as unread,
    p.hits,
    search_headline(
        q.configuration,
        q.query,
        case
            when p.seq = 0 then session_text(s.title, s.tags)
            else (
                select concat_ws(E'\n', t.said, t.called, t.returned, case when p.may_write then t.thought end)
                from messages as m
                cross join lateral message_texts(m.message) as t
                where
                    m.session_id = p.session_id
                    and m.seq = p.seq
            )
        end
    ) as headline,
    p.rank,
    p.matched_at,
    now() as searched_at,
    p.total
from page as p
inner join shown_queries as q on q.language = p.language and q.may_write = p.may_write
inner join sessions as s on s.session_id = p.session_id
inner join session_participants as a on a.session_id = p.session_id and a.user_id = :actor_id
order by
    p.rank desc,
    p.matched_at desc,
    p.session_id desc;


-- name: get_terms(q)$
-- The words that are searched for when somebody types `q`, in the default language, as a tsquery; empty if there are none.
-- @param  q  what was typed
-- @return value
-- @access public
-- @index  none
select search_query(search_default_language()::regconfig, :q)::text;


-- name: get_languages(language)^
-- The text search configuration of what names none, and the one that `language` means, or null.
-- @param  language  a name like german or de
-- @return Languages
-- @access system
-- @index  none
select
    search_default_language() as current,
    search_language(:language) as wanted;
