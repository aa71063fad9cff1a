-- name: list_messages(actor_id, q, session_id, config_id, tags, message_role, author_user_id, tool, since, until, by_rank, after_rank, after_created_at, after_session_id, after_seq, most_ranked, limit, context)
-- Messages in which `q` is found, and sessions by their title and tags (as seq 0, without a role), in the sessions that the caller
-- takes part in, best or newest first. What agents thought is searched and shown only where the caller may send.
--
-- search_matches in the migrations finds them, and says how. Each hit is shown through the participants once more. Rank is computed
-- for the newest `most_ranked` matches, headlines for the page only. `ranked` is above `most_ranked` if older matches were left out.
--
-- The first rank is ts_rank, below 0.5: D, C, B and A count as `kinds` says; the sum is divided by the length of the message (2) and the
-- number of its different words (8), and by itself + 1 (32). The best 100 by it (`best`) are ranked again, above 0.5, by search_score: the
-- spelling of the words and their order as they were typed, and what BM25 makes of the length. Excluded words do not count.
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
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx, sessions_pkey, sessions_search_idx, messages_search_idx, messages_pkey
-- @cte    newest_matches  the matches to rank and one more, or a page of the newest
-- @cte    weights         the weights of both ranks
-- @cte    first_ranks     the matches with their first rank and their place by it
-- @cte    page            the hits to show, with their rank
with newest_matches as materialized (
    select
        configuration,
        may_write,
        query,
        rank_query,
        session_id,
        seq,
        created_at,
        search
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
        :until,
        case when :by_rank::boolean then :most_ranked::bigint + 1 else :limit::bigint end,
        case when :by_rank then 'infinity'::timestamptz else :after_created_at::timestamptz end,
        :after_session_id::text,
        :after_seq::bigint
    )
    where
        :by_rank
        or (created_at, session_id, seq) < (:after_created_at, :after_session_id, :after_seq)
    order by
        created_at desc,
        session_id desc,
        seq desc
    limit case when :by_rank then :most_ranked + 1 else :limit end
),

weights as (
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
        select
            n.configuration,
            n.may_write,
            n.query,
            n.rank_query,
            n.session_id,
            n.seq,
            n.created_at,
            ts_rank(
                w.kinds,
                case when n.may_write then n.search else ts_filter(n.search, '{a, b, c}') end,
                n.rank_query,
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
        ) as n
        cross join weights as w
    ) as counted_matches
),

page as (
    select *
    from (
        select
            f.configuration,
            f.may_write,
            f.query,
            f.session_id,
            f.seq,
            f.created_at,
            case
                when f.place > w.best then f.rank / 2
                else 0.5 + (
                    select search_score(
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
                    )
                    from (
                        select
                            case
                                when pg_column_size(message) > w.most_bytes then null
                                when f.may_write then message::text
                                else (
                                    select concat_ws(E'\n', said, called, returned)
                                    from message_texts(message)
                                )
                            end as text,
                            case when f.may_write then search else ts_filter(search, '{a, b, c}') end as search
                        from messages
                        where
                            session_id = f.session_id
                            and seq = f.seq
                        union all
                        select
                            session_text(title, tags) as text,
                            search
                        from sessions
                        where
                            session_id = f.session_id
                            and f.seq = 0
                        offset 0
                    ) as t
                ) / 2
            end::real as rank
        from first_ranks as f
        cross join weights as w
        cross join search_spelling(:q) as y
        offset 0
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


-- name: list_sessions(actor_id, q, owned, tags, message_role, author_user_id, tool, is_filtered, status, config_id, participant, created_after, created_before, updated_after, updated_before, until, after_rank, after_matched_at, after_session_id, most_ranked, limit, offset)
-- The sessions that the caller takes part in and in which `q` is found, the one with the best hit first; with the number of
-- hits (messages, and the title with the tags as one), the headline of the best one, and the number of all such sessions. Hits are found
-- and ranked as by list_messages. Sessions all of whose hits are older than the newest `most_ranked` come last.
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
-- @index  session_participants_user_id_idx, session_participants_pkey, sessions_pkey, sessions_search_idx, messages_search_idx, messages_pkey
-- @cte    matches         all hits, without their text
-- @cte    shown_queries   what to rank and mark, by language and right
-- @cte    weights         the weights of both ranks, as in list_messages
-- @cte    first_ranks     the newest `most_ranked` hits with their first rank and their place by it
-- @cte    best_matches    each session's best hit of these
-- @cte    found_sessions  each session with its hits
-- @cte    page            the sessions to show
with matches as materialized (
    select
        language,
        may_write,
        session_id,
        seq,
        created_at
    from search_matches(
        :actor_id,
        :q,
        :owned,
        null,
        null,
        :tags,
        :message_role,
        :author_user_id,
        :tool,
        null,
        :until
    )
),

shown_queries as materialized (
    select
        q.language,
        r.may_write,
        q.configuration,
        v.query,
        case when querytree(v.query) = 'T' then v.query else querytree(v.query)::tsquery end as rank_query
    from search_queries(:q) as q
    cross join (values (true), (false)) as r (may_write)
    cross join lateral (
        select case when r.may_write then q.writer_query else q.reader_query end as query
        offset 0
    ) as v
),

weights as (
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
        select
            n.may_write,
            q.rank_query,
            n.session_id,
            n.seq,
            n.created_at,
            ts_rank(
                w.kinds,
                case when n.may_write then m.search else ts_filter(m.search, '{a, b, c}') end,
                q.rank_query,
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
        cross join weights as w
    ) as counted_matches
),

best_matches as (
    select distinct on (session_id)
        session_id,
        seq,
        rank
    from (
        select
            f.session_id,
            f.seq,
            case
                when f.place > w.best then f.rank / 2
                else 0.5 + (
                    select search_score(
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
                    )
                    from (
                        select
                            case
                                when pg_column_size(message) > w.most_bytes then null
                                when f.may_write then message::text
                                else (
                                    select concat_ws(E'\n', said, called, returned)
                                    from message_texts(message)
                                )
                            end as text,
                            case when f.may_write then search else ts_filter(search, '{a, b, c}') end as search
                        from messages
                        where
                            session_id = f.session_id
                            and seq = f.seq
                        union all
                        select
                            session_text(title, tags) as text,
                            search
                        from sessions
                        where
                            session_id = f.session_id
                            and f.seq = 0
                        offset 0
                    ) as t
                ) / 2
            end::real as rank
        from first_ranks as f
        cross join weights as w
        cross join search_spelling(:q) as y
    ) as ranked_matches
    order by
        session_id,
        rank desc,
        seq desc
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
    where
        not :is_filtered::boolean
        or (
            select
                (:status::text is null or s.status = :status)
                and (:config_id::text is null or s.config_id = :config_id)
                and (:created_after::timestamptz is null or s.created_at >= :created_after)
                and (:created_before::timestamptz is null or s.created_at < :created_before)
                and (:updated_after::timestamptz is null or s.updated_at >= :updated_after)
                and (:updated_before::timestamptz is null or s.updated_at < :updated_before)
                and (
                    :participant::text is null
                    or (
                        select true
                        from session_participants as o
                        where
                            o.session_id = m.session_id
                            and o.user_id = :participant
                    )
                )
            from sessions as s
            where s.session_id = m.session_id
        )
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
    s.messages_total,
    s.created_at,
    s.updated_at,
    s.title,
    s.tags,
    a.role,
    s.last_seq,
    a.last_read_seq,
    case
        when a.last_read_seq < s.last_seq
            then (
                select count(*)
                from (
                    select m.seq
                    from messages as m
                    where
                        m.session_id = s.session_id
                        and m.seq > a.last_read_seq
                        and (m.role <> 'user' or m.author_user_id <> :actor_id)
                    limit 100
                ) as u
            )
        else 0
    end as unread,
    s.external_id,
    s.parent_session_id,
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
-- @shards local
-- @index  none
select search_query(search_default_language()::regconfig, :q)::text;


-- name: get_languages(language)^
-- The text search configuration of what names none, and the one that `language` means, or null.
-- @param  language  a name like german or de
-- @return Languages
-- @access system
-- @shards local
-- @index  none
select
    search_default_language() as current,
    search_language(:language) as wanted;
