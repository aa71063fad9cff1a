-- name: list_messages(actor_id, q, session_id, config_id, tags, message_role, author_user_id, tool, since, until, by_rank, after_rank, after_created_at, after_session_id, after_seq, most_ranked, limit, context)
-- Messages in which `q` is found, and sessions by their title and tags, as the query of the folder above finds them. Each shard searches
-- the sessions that it has, without groups or estimates, and ranks its hits; functions that read tables cannot run there.
-- @param  actor_id          user_id of the caller
-- @param  q                 what was typed; see search_query in the migrations
-- @param  session_id        only in this session, or null
-- @param  config_id         only in sessions of this config, or null
-- @param  tags              a JSON object that the session's tags must contain, or an array of objects, one of which they must
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
-- @shards all
-- @index  none
-- @cte    weights         the weights of both ranks, as in the folder above
-- @cte    my_languages    the languages of the caller's sessions
-- @cte    spelling        the patterns of the words
-- @cte    my_queries      the tsquery for each language and right; `rank_query` is without what is excluded
-- @cte    newest_matches  the newest hits with their first rank, and one more, or a page of the newest
-- @cte    first_ranks     these without that one, with their place by the rank
-- @cte    second_ranks    the score of the best of them
-- @cte    page            the hits to show
-- @cte    near_messages   the messages around them
-- @cte    contexts        the same as JSON
with weights as materialized (
    select
        '{0.1, 0.5, 0.7, 1}'::real[] as kinds,
        100 as best,
        0.02 as kind,
        0.2 as stem,
        1 as in_order,
        1.5 as saturation,
        0.75 as length,
        5 as fewest,
        60 as usual,
        4000 as most_bytes
),

my_languages as materialized (
    select distinct coalesce(s.search_language, search_default_language()) as language
    from session_participants as p
    inner join sessions as s on s.session_id = p.session_id
    where p.user_id = :actor_id
),

spelling as materialized (
    select
        words,
        phrase
    from search_spelling(:q)
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
    select
        configuration,
        may_write,
        query,
        rank_query,
        session_id,
        seq,
        created_at,
        rank
    from (
        select
            q.configuration,
            q.may_write,
            q.query,
            q.rank_query,
            m.session_id,
            m.seq,
            m.created_at,
            ts_rank(
                w.kinds,
                case when q.may_write then m.search else ts_filter(m.search, '{a, b, c}') end,
                q.rank_query,
                42
            ) as rank
        from session_participants as p
        inner join sessions as s on s.session_id = p.session_id
        inner join my_queries as q
            on q.language = coalesce(s.search_language, search_default_language())
            and q.may_write = may_send(p.role, p.permissions)
        cross join weights as w
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
            q.configuration,
            q.may_write,
            q.query,
            q.rank_query,
            s.session_id,
            0 as seq,
            s.created_at,
            ts_rank(
                w.kinds,
                case when q.may_write then s.search else ts_filter(s.search, '{a, b, c}') end,
                q.rank_query,
                42
            ) as rank
        from session_participants as p
        inner join sessions as s on s.session_id = p.session_id
        inner join my_queries as q
            on q.language = coalesce(s.search_language, search_default_language())
            and q.may_write = may_send(p.role, p.permissions)
        cross join weights as w
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
    where
        :by_rank::boolean
        or (created_at, session_id, seq) < (:after_created_at, :after_session_id::text, :after_seq::bigint)
    order by
        created_at desc,
        session_id desc,
        seq desc
    limit case when :by_rank then :most_ranked::bigint + 1 else :limit::bigint end
),

first_ranks as materialized (
    select
        *,
        row_number() over (
            order by
                rank desc,
                created_at desc,
                session_id desc,
                seq desc
        ) as place
    from (
        select *
        from newest_matches
        order by
            created_at desc,
            session_id desc,
            seq desc
        limit :most_ranked
    ) as counted_matches
),

second_ranks as materialized (
    select
        f.session_id,
        f.seq,
        search_score(
            ts_rank(w.kinds, t.search, f.rank_query),
            (select avg((t.text ~* word)::integer) from unnest(y.words) as word),
            t.text ~* y.phrase,
            length(t.search),
            w.kind,
            w.stem,
            w.in_order,
            w.saturation,
            w.length,
            w.fewest,
            w.usual
        ) as rank
    from first_ranks as f
    cross join weights as w
    cross join spelling as y
    inner join messages as m on m.session_id = f.session_id and m.seq = f.seq
    cross join lateral (
        select
            case
                when pg_column_size(m.message) > w.most_bytes then null
                when f.may_write then m.message::text
                else (select concat_ws(E'\n', x.said, x.called, x.returned) from message_texts(m.message) as x)
            end as text,
            case when f.may_write then m.search else ts_filter(m.search, '{a, b, c}') end as search
        offset 0
    ) as t
    where f.place <= w.best
    union all
    select
        f.session_id,
        f.seq,
        search_score(
            ts_rank(w.kinds, s.search, f.rank_query),
            (select avg((t.text ~* word)::integer) from unnest(y.words) as word),
            t.text ~* y.phrase,
            length(s.search),
            w.kind,
            w.stem,
            w.in_order,
            w.saturation,
            w.length,
            w.fewest,
            w.usual
        ) as rank
    from first_ranks as f
    cross join weights as w
    cross join spelling as y
    inner join sessions as s on s.session_id = f.session_id
    cross join lateral (select session_text(s.title, s.tags) as text offset 0) as t
    where
        f.seq = 0
        and f.place <= w.best
),

page as materialized (
    select *
    from (
        select
            f.configuration,
            f.may_write,
            f.query,
            f.session_id,
            f.seq,
            f.created_at,
            case when b.rank is null then f.rank / 2 else 0.5 + b.rank / 2 end::real as rank
        from first_ranks as f
        left join second_ranks as b on b.session_id = f.session_id and b.seq = f.seq
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
),

near_messages as materialized (
    select
        f.session_id,
        f.of_seq,
        f.is_before,
        f.seq,
        f.role,
        f.author_user_id,
        f.created_at,
        left(concat_ws(E'\n', t.said, t.called, t.returned), 1000) as text
    from (
        select
            m.session_id,
            p.seq as of_seq,
            m.seq < p.seq as is_before,
            m.seq,
            m.role,
            m.author_user_id,
            m.created_at,
            m.message,
            row_number() over (
                partition by
                    m.session_id,
                    p.seq,
                    m.seq < p.seq
                order by abs(m.seq - p.seq)
            ) as distance
        from page as p
        inner join messages as m on m.session_id = p.session_id
        where
            :context::bigint > 0
            and p.seq > 0
            and m.seq <> p.seq
    ) as f
    cross join lateral message_texts(f.message) as t
    where f.distance <= :context
),

contexts as materialized (
    select
        session_id,
        of_seq,
        jsonb_agg(near order by seq) filter (where is_before) as before,
        jsonb_agg(near order by seq) filter (where not is_before) as after
    from (
        select
            session_id,
            of_seq,
            is_before,
            seq,
            jsonb_build_object(
                'seq', seq, 'role', role, 'author_user_id', author_user_id, 'created_at', created_at, 'text', text
            ) as near
        from near_messages
    ) as n
    group by
        session_id,
        of_seq
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
        p.configuration::regconfig,
        p.query,
        case
            when p.seq = 0 then session_text(s.title, s.tags)
            else concat_ws(E'\n', t.said, t.called, t.returned, case when p.may_write then t.thought end)
        end
    ) as headline,
    coalesce(c.before, '[]') as before,
    coalesce(c.after, '[]') as after,
    now() as searched_at,
    n.ranked
from page as p
cross join (select count(*) as ranked from newest_matches) as n
inner join sessions as s on s.session_id = p.session_id
inner join session_participants as a on a.session_id = s.session_id and a.user_id = :actor_id
left join messages as m on m.session_id = s.session_id and m.seq = p.seq
left join lateral message_texts(m.message) as t on true
left join contexts as c on c.session_id = p.session_id and c.of_seq = p.seq
order by
    case when :by_rank then p.rank end desc,
    p.created_at desc,
    p.session_id desc,
    p.seq desc;


-- name: list_sessions(actor_id, q, owned, tags, message_role, author_user_id, tool, is_filtered, status, config_id, participant, created_after, created_before, updated_after, updated_before, until, after_rank, after_matched_at, after_session_id, most_ranked, limit, offset)
-- The sessions that the caller takes part in and in which `q` is found, as the query of the folder above finds them. Each shard searches
-- the sessions that it has and ranks its hits. Unread messages are counted in the statement.
-- @param  actor_id          user_id of the caller
-- @param  q                 what was typed
-- @param  owned             true for only those in which the caller is an owner
-- @param  tags              a JSON object that the tags must contain, or an array of objects, one of which they must
-- @param  message_role      only by messages of this role, or null
-- @param  author_user_id    only by messages that this user added, or null
-- @param  tool              only by messages that call the tool of this name, or null
-- @param  is_filtered       false if the seven filters that follow are null, which then cost nothing
-- @param  status            only sessions in this state, or null
-- @param  config_id         only sessions of this config, or null
-- @param  participant       only sessions in which this user takes part, too, or null
-- @param  created_after     only sessions created at this time or later, or null
-- @param  created_before    only sessions created before this time, or null
-- @param  updated_after     only sessions changed at this time or later, or null
-- @param  updated_before    only sessions changed before this time, or null
-- @param  until             only hits older than this, or null
-- @param  after_rank        position of the last row of the page before
-- @param  after_matched_at  the same
-- @param  after_session_id  the same
-- @param  most_ranked       matches at most that are ranked
-- @param  limit             rows at most
-- @param  offset            rows to skip
-- @return FoundSession[]
-- @access participant
-- @shards all
-- @index  none
-- @cte    weights          the weights of both ranks, as in the folder above
-- @cte    my_languages     the languages of the caller's sessions
-- @cte    spelling         the patterns of the words
-- @cte    my_queries       the tsquery for each language and right; `rank_query` is without what is excluded
-- @cte    matches          all hits with their first rank
-- @cte    kept_sessions    the caller's sessions that the filters leave
-- @cte    first_ranks      the newest `most_ranked` of them, with their place by the rank
-- @cte    second_ranks     the score of the best of them
-- @cte    best_matches     each session's best hit of these
-- @cte    found_sessions   each session with its hits
-- @cte    page             the sessions to show
-- @cte    unread_messages  how many messages of each are unread
with weights as materialized (
    select
        '{0.1, 0.5, 0.7, 1}'::real[] as kinds,
        100 as best,
        0.02 as kind,
        0.2 as stem,
        1 as in_order,
        1.5 as saturation,
        0.75 as length,
        5 as fewest,
        60 as usual,
        4000 as most_bytes
),

my_languages as materialized (
    select distinct coalesce(s.search_language, search_default_language()) as language
    from session_participants as p
    inner join sessions as s on s.session_id = p.session_id
    where p.user_id = :actor_id
),

spelling as materialized (
    select
        words,
        phrase
    from search_spelling(:q)
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

matches as materialized (
    select
        language,
        may_write,
        rank_query,
        session_id,
        seq,
        created_at,
        rank
    from (
        select
            q.language,
            q.may_write,
            q.rank_query,
            m.session_id,
            m.seq,
            m.created_at,
            ts_rank(
                w.kinds,
                case when q.may_write then m.search else ts_filter(m.search, '{a, b, c}') end,
                q.rank_query,
                42
            ) as rank
        from session_participants as p
        inner join sessions as s on s.session_id = p.session_id
        inner join my_queries as q
            on q.language = coalesce(s.search_language, search_default_language())
            and q.may_write = may_send(p.role, p.permissions)
        cross join weights as w
        inner join messages as m on m.session_id = p.session_id
        where
            p.user_id = :actor_id
            and (not :owned::boolean or p.role = 'owner')
            and s.tags @> any(array(select jsonb_path_query(:tags::jsonb, '$[*]')))
            and m.search @@ q.query
            and (:message_role::text is null or m.role = :message_role)
            and (:author_user_id::text is null or m.author_user_id = :author_user_id)
            and (:until::timestamptz is null or m.created_at < :until)
            and (:tool::text is null or :tool = any(message_tools(m.message)))
        union all
        select
            q.language,
            q.may_write,
            q.rank_query,
            s.session_id,
            0 as seq,
            s.created_at,
            ts_rank(
                w.kinds,
                case when q.may_write then s.search else ts_filter(s.search, '{a, b, c}') end,
                q.rank_query,
                42
            ) as rank
        from session_participants as p
        inner join sessions as s on s.session_id = p.session_id
        inner join my_queries as q
            on q.language = coalesce(s.search_language, search_default_language())
            and q.may_write = may_send(p.role, p.permissions)
        cross join weights as w
        where
            p.user_id = :actor_id
            and (not :owned::boolean or p.role = 'owner')
            and s.tags @> any(array(select jsonb_path_query(:tags::jsonb, '$[*]')))
            and s.search @@ q.query
            and querytree(q.query) <> 'T'
            and :message_role::text is null
            and :author_user_id::text is null
            and :tool::text is null
            and (:until::timestamptz is null or s.created_at < :until)
    ) as found
),

kept_sessions as materialized (
    select s.session_id
    from session_participants as p
    inner join sessions as s on s.session_id = p.session_id
    where
        p.user_id = :actor_id
        and :is_filtered::boolean
        and (:status::text is null or s.status = :status)
        and (:config_id::text is null or s.config_id = :config_id)
        and (:created_after::timestamptz is null or s.created_at >= :created_after)
        and (:created_before::timestamptz is null or s.created_at < :created_before)
        and (:updated_after::timestamptz is null or s.updated_at >= :updated_after)
        and (:updated_before::timestamptz is null or s.updated_at < :updated_before)
        and (
            :participant::text is null
            or exists (
                select 1
                from session_participants as o
                where
                    o.session_id = s.session_id
                    and o.user_id = :participant
            )
        )
),

first_ranks as materialized (
    select
        *,
        row_number() over (
            order by
                rank desc,
                created_at desc,
                session_id desc,
                seq desc
        ) as place
    from (
        select *
        from matches
        order by
            created_at desc,
            session_id desc,
            seq desc
        limit :most_ranked
    ) as counted_matches
),

second_ranks as materialized (
    select
        f.session_id,
        f.seq,
        search_score(
            ts_rank(w.kinds, t.search, f.rank_query),
            (select avg((t.text ~* word)::integer) from unnest(y.words) as word),
            t.text ~* y.phrase,
            length(t.search),
            w.kind,
            w.stem,
            w.in_order,
            w.saturation,
            w.length,
            w.fewest,
            w.usual
        ) as rank
    from first_ranks as f
    cross join weights as w
    cross join spelling as y
    inner join messages as m on m.session_id = f.session_id and m.seq = f.seq
    cross join lateral (
        select
            case
                when pg_column_size(m.message) > w.most_bytes then null
                when f.may_write then m.message::text
                else (select concat_ws(E'\n', x.said, x.called, x.returned) from message_texts(m.message) as x)
            end as text,
            case when f.may_write then m.search else ts_filter(m.search, '{a, b, c}') end as search
        offset 0
    ) as t
    where f.place <= w.best
    union all
    select
        f.session_id,
        f.seq,
        search_score(
            ts_rank(w.kinds, s.search, f.rank_query),
            (select avg((t.text ~* word)::integer) from unnest(y.words) as word),
            t.text ~* y.phrase,
            length(s.search),
            w.kind,
            w.stem,
            w.in_order,
            w.saturation,
            w.length,
            w.fewest,
            w.usual
        ) as rank
    from first_ranks as f
    cross join weights as w
    cross join spelling as y
    inner join sessions as s on s.session_id = f.session_id
    cross join lateral (select session_text(s.title, s.tags) as text offset 0) as t
    where
        f.seq = 0
        and f.place <= w.best
),

best_matches as materialized (
    select distinct on (session_id)
        session_id,
        seq,
        rank
    from (
        select
            f.session_id,
            f.seq,
            case when b.rank is null then f.rank / 2 else 0.5 + b.rank / 2 end::real as rank
        from first_ranks as f
        left join second_ranks as b on b.session_id = f.session_id and b.seq = f.seq
    ) as n
    order by
        session_id,
        rank desc,
        seq desc
),

found_sessions as materialized (
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
    where
        not :is_filtered
        or m.session_id in (select session_id from kept_sessions)
),

page as materialized (
    select *
    from found_sessions
    where (rank, matched_at, session_id) < (:after_rank::real, :after_matched_at, :after_session_id::text)
    order by
        rank desc,
        matched_at desc,
        session_id desc
    limit :limit
    offset :offset
),

unread_messages as materialized (
    select
        m.session_id,
        least(count(*), 100)::integer as unread
    from page as p
    inner join session_participants as a on a.session_id = p.session_id and a.user_id = :actor_id
    inner join messages as m on m.session_id = a.session_id and m.seq > a.last_read_seq
    where m.role <> 'user' or m.author_user_id <> a.user_id
    group by m.session_id
)

select
    s.session_id,
    s.config_id,
    s.status,
    s.message_count,
    s.messages_total,
    s.created_at,
    s.updated_at,
    s.title,
    s.tags,
    a.role,
    s.last_seq,
    a.last_read_seq,
    coalesce(u.unread, 0) as unread,
    s.external_id,
    s.parent_session_id,
    p.hits,
    search_headline(
        q.configuration::regconfig,
        q.query,
        case
            when p.seq = 0 then session_text(s.title, s.tags)
            else concat_ws(E'\n', t.said, t.called, t.returned, case when p.may_write then t.thought end)
        end
    ) as headline,
    p.rank,
    p.matched_at,
    now() as searched_at,
    p.total
from page as p
inner join my_queries as q on q.language = p.language and q.may_write = p.may_write
inner join sessions as s on s.session_id = p.session_id
inner join session_participants as a on a.session_id = s.session_id and a.user_id = :actor_id
left join messages as m on m.session_id = s.session_id and m.seq = p.seq
left join lateral message_texts(m.message) as t on true
left join unread_messages as u on u.session_id = p.session_id
order by
    p.rank desc,
    p.matched_at desc,
    p.session_id desc;
