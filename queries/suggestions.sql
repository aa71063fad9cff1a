-- name: list(actor_id, session_id, words, most_sessions, most_messages)
-- For each word that the caller's newest messages and titles do not have, the most similar one that they have: one character more or
-- less, replaced or swapped, two in words of more than seven. Words that only others wrote, and what agents thought where the caller
-- may not send, are not looked at.
--
-- Stored words are stems, so the most frequent similar stem leads to a message, and its text to the word as it was written.
-- @param  actor_id       user_id of the caller
-- @param  session_id     only in this session, or null
-- @param  words          lower case
-- @param  most_sessions  sessions at most that are looked at, those first in which the caller was active last
-- @param  most_messages  messages at most of each, the newest
-- @return Suggestion[]
-- @access participant
-- @shards all
-- @index  session_participants_last_active_at_idx or session_participants_user_id_idx or session_participants_pkey, sessions_pkey, messages_pkey
-- @cte    my_sessions    the sessions that are looked at
-- @cte    stems          their stems, and a message of each
-- @cte    typed          the words as stems in each language
-- @cte    similar_stems  the five most similar stems of each word that is not among them
with my_sessions as materialized (
    select
        p.session_id,
        s.search,
        coalesce(search_language(s.search_language), search_default_language())::regconfig as configuration,
        may_send(p.role, p.permissions) as may_write
    from (
        select
            session_id,
            role,
            permissions
        from session_participants
        where
            user_id = :actor_id
            and (:session_id::text is null or session_id = :session_id)
        order by
            last_active_at desc,
            session_id desc
        limit :most_sessions
    ) as p
    cross join lateral (
        select
            search,
            search_language
        from sessions
        where session_id = p.session_id
        offset 0
    ) as s
),

stems as materialized (
    select
        r.configuration,
        e.stem,
        count(*) as messages,
        max(array[r.session_id, lpad(r.seq::text, 20, '0')]) as place
    from (
        select
            s.configuration,
            s.session_id,
            m.seq,
            case when s.may_write then m.search else ts_filter(m.search, '{a, b, c}') end as search
        from my_sessions as s
        cross join lateral (
            select
                seq,
                search
            from messages
            where session_id = s.session_id
            order by seq desc
            limit :most_messages
        ) as m
        where length(m.search) < 2000
        union all
        select
            configuration,
            session_id,
            0 as seq,
            search
        from my_sessions
    ) as r
    cross join lateral unnest(tsvector_to_array(r.search)) as e (stem)
    where length(e.stem) between 2 and 40
    group by
        r.configuration,
        e.stem
),

typed as materialized (
    select
        w.word,
        w.place,
        case when length(w.word) > 7 then 2 else 1 end as most,
        c.configuration,
        t.stem
    from unnest(:words::text[]) with ordinality as w (word, place)
    cross join (select distinct configuration from my_sessions) as c
    cross join lateral unnest(tsvector_to_array(to_tsvector(c.configuration, w.word))) as t (stem)
    where length(w.word) between 3 and 40
),

similar_stems as materialized (
    select *
    from (
        select
            t.word,
            t.place,
            t.most,
            s.configuration,
            s.stem,
            s.messages,
            s.place as found,
            row_number() over (
                partition by t.place
                order by
                    d.distance,
                    s.messages desc,
                    s.stem
            ) as number
        from typed as t
        inner join stems as s
            on s.configuration = t.configuration
            and length(s.stem) between length(t.word) / 2 and length(t.word) + 2
            and length(translate(s.stem, t.word, '')) <= t.most
        cross join lateral (
            select least(
                search_distance(t.stem, s.stem, t.most),
                search_distance(left(t.word, length(s.stem)), s.stem, t.most),
                search_distance(left(t.word, length(s.stem) - 1), s.stem, t.most)
            ) as distance
            offset 0
        ) as d
        where
            d.distance <= t.most
            and not exists (
                select 1
                from typed as k
                inner join stems as h on h.configuration = k.configuration and h.stem = k.stem
                where k.place = t.place
            )
    ) as found_stems
    where number <= 5
)

select distinct on (f.place)
    f.word as typed,
    w.word
from similar_stems as f
inner join session_participants as p on p.session_id = f.found[1] and p.user_id = :actor_id
cross join lateral (
    select
        session_id,
        title,
        tags
    from sessions
    where session_id = p.session_id
    offset 0
) as s
left join messages as m on m.session_id = s.session_id and m.seq = f.found[2]::bigint
cross join lateral (
    select lower(
        case
            when m.seq is null then session_text(s.title, s.tags)
            else (
                select concat_ws(' ', said, called, returned, case when may_send(p.role, p.permissions) then thought end)
                from message_texts(m.message)
            )
        end
    ) as text
    offset 0
) as t
cross join lateral (
    select distinct found[1] as word
    from regexp_matches(left(t.text, 100000), '[[:alnum:]]+', 'g') as found
    where
        abs(length(found[1]) - length(f.word)) <= f.most
        and length(translate(found[1], f.word, '')) <= f.most
        and search_distance(f.word, found[1], f.most) <= f.most
        and tsvector_to_array(to_tsvector(f.configuration, found[1])) = array[f.stem]
    offset 0
) as w
order by
    f.place,
    search_distance(f.word, w.word, f.most),
    f.messages desc,
    w.word;
