-- name: list(actor_id, owned, shared, unread, tags, status, config_id, participant, parent_session_id, created_after, created_before, updated_after, updated_before, sort, ascending, after_moment, after_session_id, limit, offset)
-- Lists the sessions that a user takes part in, with the user's part in them, in any order and by any filter.
-- sessions.list and sessions.list_by_activity are faster for the usual ones. All of the user's sessions are read and sorted, as
-- in sessions.list; `participant` is looked up in each, because `exists` could read all sessions of that user instead.
-- The children of `parent_session_id` are found by their index first, so that no other session is read.
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
-- @param  offset             rows to skip
-- @return UserSession[]
-- @access participant
-- @shards all
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx, sessions_pkey
-- @cost   1000
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
    case
        when p.last_read_seq < s.last_seq
            then (
                select count(*)
                from (
                    select m.seq
                    from messages as m
                    where
                        m.session_id = s.session_id
                        and m.seq > p.last_read_seq
                        and (m.role <> 'user' or m.author_user_id <> :actor_id)
                    limit 100
                ) as u
            )
        else 0
    end as unread,
    s.external_id,
    s.parent_session_id
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
limit :limit
offset :offset;


-- name: count(actor_id, owned, shared, unread, tags, status, config_id, participant, parent_session_id, created_after, created_before, updated_after, updated_before)$
-- Counts the sessions that `list` lists.
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
-- @return value
-- @access participant
-- @shards all
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx, sessions_pkey
-- @cost   1000
select count(*)
from session_participants as p
cross join lateral (
    select
        config_id,
        status,
        tags,
        last_seq,
        created_at,
        updated_at
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
    );
