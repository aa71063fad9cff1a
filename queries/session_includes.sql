-- name: list(actor_id, owned, shared, unread, tags, status, config_id, participant, parent_session_id, created_after, created_before, updated_after, updated_before, sort, ascending, after_moment, after_session_id, limit, with_metadata, with_participants, with_last_message, with_preview, with_run, with_state, most_participants, max_bytes)
-- Lists as session_lists.list does, with metadata, participants, the last message, the run and the state of each session on
-- the page. Reads the text of messages of at most 16 kB, because that of others could take long.
-- A page ends before these exceed max_bytes, but has at least one row.
-- @param  actor_id           user_id of the caller
-- @param  owned              true for only those in which the user is an owner
-- @param  shared             true for only those in which the user is no owner
-- @param  unread             true for only those with messages that the user has not read
-- @param  tags               a JSON object that the tags must contain, or an array of objects, one of which they must
-- @param  status             only in this state, or null
-- @param  config_id          only of this config, or null
-- @param  participant        only those in which this user takes part, too, or null
-- @param  parent_session_id  only those that an agent of this session started, if the user takes part in it, or null
-- @param  created_after      only what was created at this time or later, or null
-- @param  created_before     only what was created before this time, or null
-- @param  updated_after      only what was changed at this time or later, or null
-- @param  updated_before     only what was changed before this time, or null
-- @param  sort               created_at, updated_at or last_active_at
-- @param  ascending          true for the oldest first
-- @param  after_moment       position of the last row of the page before
-- @param  after_session_id   the same
-- @param  limit              rows at most
-- @param  with_metadata      whether to add the metadata
-- @param  with_participants  whether to add the first participants by user_id, and the number of all
-- @param  with_last_message  whether to add the newest message
-- @param  with_preview       whether to add the beginning of the newest message
-- @param  with_run           whether to add the run that goes on or waits
-- @param  with_state         whether to add the state of the session
-- @param  most_participants  participants of a session at most
-- @param  max_bytes          bytes of what is added, as text, at most
-- @return IncludingRow[]
-- @access participant
-- @shards all
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx, sessions_pkey, messages_pkey, session_states_pkey
-- @cost   3000
-- @cte    first_rows  the sessions of the page, and one more
-- @cte    page        the same with their places, numbered after the limit, so that only as many rows are kept while sorting
-- @cte    included    the same with what is wanted of each, the bytes of that so far, and whether rows follow
with first_rows as (
    select
        s.session_id,
        s.config_id,
        s.status,
        s.title,
        s.tags,
        p.role,
        s.owner_user_id,
        p.joined_at,
        p.last_active_at,
        s.message_count,
        s.messages_total,
        s.last_seq,
        s.created_at,
        s.updated_at,
        p.last_read_seq,
        s.external_id,
        s.parent_session_id,
        s.moment
    from session_participants as p
    cross join lateral (
        select
            session_id,
            config_id,
            status,
            title,
            tags,
            owner_user_id,
            message_count,
            messages_total,
            last_seq,
            created_at,
            updated_at,
            external_id,
            parent_session_id,
            case :sort::text
                when 'created_at' then created_at
                when 'updated_at' then updated_at
                else p.last_active_at
            end as moment
        from sessions
        where session_id = p.session_id
        offset 0
    ) as s
    where
        p.user_id = :actor_id
        and (not :owned::boolean or p.role = 'owner')
        and (not :shared::boolean or p.role <> 'owner')
        and s.tags @> any(array(select jsonb_path_query(:tags, '$[*]')))
        and (:status::text is null or s.status = :status)
        and (:config_id::text is null or s.config_id = :config_id)
        and (:created_after::timestamptz is null or s.created_at >= :created_after)
        and (:created_before::timestamptz is null or s.created_at < :created_before)
        and (:updated_after::timestamptz is null or s.updated_at >= :updated_after)
        and (:updated_before::timestamptz is null or s.updated_at < :updated_before)
        and (
            not :unread::boolean
            or (
                p.last_read_seq < s.last_seq
                and (
                    select true
                    from messages as m
                    where
                        m.session_id = p.session_id
                        and m.seq > p.last_read_seq
                        and (m.role <> 'user' or m.author_user_id <> :actor_id)
                    limit 1
                )
            )
        )
        and (
            :participant::text is null
            or (
                select true
                from session_participants as o
                where
                    o.session_id = p.session_id
                    and o.user_id = :participant
            )
        )
        and (
            :parent_session_id::text is null
            or (
                p.session_id in (select session_id from sessions where parent_session_id = :parent_session_id)
                and (
                    select true
                    from session_participants as o
                    where
                        o.session_id = :parent_session_id
                        and o.user_id = :actor_id
                )
            )
        )
        and case
            when :ascending::boolean then (s.moment, s.session_id) > (:after_moment::timestamptz, :after_session_id::text)
            else (s.moment, s.session_id) < (:after_moment, :after_session_id)
        end
    order by
        case when :ascending then s.moment end,
        case when :ascending then s.session_id end,
        s.moment desc,
        s.session_id desc
    limit :limit::bigint + 1
),

page as (
    select
        f.*,
        row_number() over (
            order by
                case when :ascending then f.moment end,
                case when :ascending then f.session_id end,
                f.moment desc,
                f.session_id desc
        ) as number
    from first_rows as f
),

included as (
    select
        page.*,
        case
            when page.last_read_seq < page.last_seq
                then (
                    select count(*)
                    from (
                        select m.seq
                        from messages as m
                        where
                            m.session_id = page.session_id
                            and m.seq > page.last_read_seq
                            and (m.role <> 'user' or m.author_user_id <> :actor_id)
                        limit 100
                    ) as u
                )
            else 0
        end as unread,
        d.metadata,
        e.participants,
        e.participant_count,
        m.seq as message_seq,
        m.role as message_role,
        m.message,
        m.text as message_text,
        m.author_user_id,
        m.author_app_id,
        m.created_at as message_created_at,
        m.key as message_key,
        k.state,
        n.run,
        sum(
            coalesce(octet_length(d.metadata::text), 0) + coalesce(octet_length(e.participants::text), 0) + coalesce(m.size, 0)
            + coalesce(octet_length(k.state::text), 0)
        ) over (order by page.number) as bytes,
        lead(page.number) over (order by page.number) is not null as has_more
    from page
    left join lateral (
        select s.metadata
        from sessions as s
        where
            s.session_id = page.session_id
            and :with_metadata::boolean
    ) as d on true
    left join lateral (
        select
            jsonb_agg(jsonb_build_object('user_id', f.user_id, 'role', f.role) order by f.user_id) as participants,
            (
                select count(*)
                from session_participants as o
                where o.session_id = page.session_id
            ) as participant_count
        from (
            select
                o.user_id,
                o.role
            from session_participants as o
            where
                o.session_id = page.session_id
                and :with_participants::boolean
            order by o.user_id
            limit :most_participants
        ) as f
        having :with_participants
    ) as e on true
    left join lateral (
        select
            l.seq,
            l.role,
            case when :with_last_message::boolean then l.message end as message,
            case
                when not :with_preview::boolean then null
                when l.size <= 16384 then (
                    select left(coalesce(t.said, t.returned, t.called), 200)
                    from message_texts(l.message) as t
                )
                when l.size <= 1048576 and jsonb_typeof(l.message -> 'content') = 'string' then left(l.message ->> 'content', 200)
            end as text,
            l.author_user_id,
            l.author_app_id,
            l.created_at,
            l.key,
            case when :with_last_message then l.size else 1000 end as size
        from messages as l
        where
            l.session_id = page.session_id
            and (:with_last_message or :with_preview)
        order by l.seq desc
        limit 1
    ) as m on true
    left join lateral (
        select jsonb_build_object('run_id', a.run_id, 'status', a.status) as run
        from runs as a
        where
            a.session_id = page.session_id
            and a.status in ('running', 'queued')
            and :with_run::boolean
        order by
            a.status desc,
            a.queued_at
        limit 1
    ) as n on true
    left join lateral (
        select jsonb_build_object('document', coalesce(t.document, '{}'), 'version', coalesce(t.version, 0)) as state
        from (select) as one
        left join session_states as t on t.session_id = page.session_id
        where :with_state::boolean
    ) as k on true
)

select
    session_id,
    config_id,
    status,
    title,
    tags,
    role,
    owner_user_id,
    joined_at,
    last_active_at,
    message_count,
    messages_total,
    last_seq,
    created_at,
    updated_at,
    last_read_seq,
    unread,
    external_id,
    parent_session_id,
    metadata,
    participants,
    participant_count,
    message_seq,
    message_role,
    message,
    message_text,
    author_user_id,
    author_app_id,
    message_created_at,
    message_key,
    state,
    run,
    has_more
from included
where
    number <= :limit
    and (bytes <= :max_bytes::bigint or number = 1)
order by number;
