-- name: create(actor_id, actor_app_id, session_id, external_id, config_id, title, tags, metadata)^
-- A new session of the caller's, who becomes its owner. Returns no row if the caller has no such config, or has a session of
-- this external_id in the application; if another transaction is about to create that one, waits for its end.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    its id
-- @param  external_id   the caller's own key of it, or null
-- @param  config_id     the config it runs, which is the caller's, or null
-- @param  title         text or null
-- @param  tags          a JSON object of strings
-- @param  metadata      a JSON object
-- @return Session | none
-- @access owner
-- @shards one
-- @with   audit.add
-- @index  configs_pkey
with owned_config as (
    select
        config_id,
        version
    from configs
    where
        config_id = :config_id
        and user_id = :actor_id
),

created_session as (
    insert into sessions (
        session_id, external_id, config_id, config_version, owner_user_id, created_by_app_id, last_accessed_by_app_id,
        last_accessed_at, title, tags, metadata
    )
    select
        :session_id,
        :external_id,
        c.config_id,
        c.version,
        :actor_id,
        :actor_app_id,
        :actor_app_id,
        now(),
        :title,
        :tags,
        :metadata
    from (values (:config_id::text)) as given (config_id)
    left join owned_config as c on true
    where
        given.config_id is null
        or c.config_id is not null
    on conflict (created_by_app_id, owner_user_id, external_id) where external_id is not null do nothing
    returning *
),

added_owner as (
    insert into session_participants (session_id, user_id, role)
    select
        session_id,
        :actor_id,
        'owner'
    from created_session
    returning session_id, role
),

counted_session as (
    insert into users (user_id, last_seen_app_id, total_sessions)
    select
        :actor_id,
        :actor_app_id,
        1
    from created_session
    on conflict (user_id) do update
    set total_sessions = users.total_sessions + 1
)

select
    s.session_id,
    s.config_id,
    s.status,
    s.title,
    s.tags,
    s.metadata,
    p.role,
    s.owner_user_id,
    s.created_by_app_id,
    s.last_accessed_by_app_id,
    s.last_accessed_at,
    s.message_count,
    s.messages_total,
    s.last_seq,
    s.created_at,
    s.updated_at,
    s.config_version,
    s.forked_from_session_id,
    s.forked_at_seq,
    s.external_id,
    s.parent_session_id
from created_session as s
inner join added_owner as p on p.session_id = s.session_id;


-- name: list(actor_id, owned, tags, after_updated_at, after_session_id, limit, offset)
-- Lists the sessions that the caller takes part in, the last changed first. `updated_at` is in no index, because every
-- append writes it: all of the caller's sessions are read and sorted, and no others. `offset 0` keeps it so; a plain join is
-- planned from the tags, through everybody's sessions.
-- @param  actor_id          user_id of the caller
-- @param  owned             true for only those in which the caller is an owner
-- @param  tags              a JSON object that the tags must contain, or an array of objects, one of which they must
-- @param  after_updated_at  position of the last row of the page before
-- @param  after_session_id  the same
-- @param  limit             rows at most
-- @param  offset            rows to skip
-- @return SessionSummary[]
-- @access participant
-- @shards all
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx, sessions_pkey
-- @cost   1000
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
    p.role,
    s.last_seq,
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
        message_count,
        messages_total,
        created_at,
        updated_at,
        title,
        tags,
        last_seq,
        external_id,
        parent_session_id
    from sessions
    where session_id = p.session_id
    offset 0
) as s
where
    p.user_id = :actor_id
    and (not :owned::boolean or p.role = 'owner')
    and s.tags @> any(array(select jsonb_path_query(:tags, '$[*]')))
    and (s.updated_at, s.session_id) < (:after_updated_at, :after_session_id::text)
order by s.updated_at desc, s.session_id desc
limit :limit
offset :offset;


-- name: list_by_activity(actor_id, after_last_active_at, after_session_id, limit)
-- Lists the sessions that the caller takes part in, with the caller's part in them, the last active one first.
-- @param  actor_id              user_id of the caller
-- @param  after_last_active_at  position of the last row of the page before
-- @param  after_session_id      the same
-- @param  limit                 rows at most
-- @return UserSession[]
-- @access participant
-- @shards all
-- @index  session_participants_last_active_at_idx, sessions_pkey
-- @cost   300
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
inner join sessions as s on s.session_id = p.session_id
where
    p.user_id = :actor_id
    and (p.last_active_at, p.session_id) < (:after_last_active_at, :after_session_id)
order by p.last_active_at desc, p.session_id desc
limit :limit;


-- name: count(actor_id, owned, tags)$
-- Counts the sessions that the caller takes part in.
-- @param  actor_id  user_id of the caller
-- @param  owned     true for only those in which the caller is an owner
-- @param  tags      a JSON object that the tags must contain, or an array of objects, one of which they must
-- @return value
-- @access participant
-- @shards all
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx
select count(*)
from session_participants as p
where
    p.user_id = :actor_id
    and (not :owned::boolean or p.role = 'owner')
    and (
        :tags::jsonb = '{}'
        or (
            select s.tags @> any(array(select jsonb_path_query(:tags, '$[*]')))
            from sessions as s
            where s.session_id = p.session_id
        )
    );


-- name: get(actor_id, session_id)^
-- One session that the caller takes part in, with the caller's role.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return Session | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cost   40
select
    s.session_id,
    s.config_id,
    s.status,
    s.title,
    s.tags,
    s.metadata,
    p.role,
    s.owner_user_id,
    s.created_by_app_id,
    s.last_accessed_by_app_id,
    s.last_accessed_at,
    s.message_count,
    s.messages_total,
    s.last_seq,
    s.created_at,
    s.updated_at,
    s.config_version,
    s.forked_from_session_id,
    s.forked_at_seq,
    s.external_id,
    s.parent_session_id
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and s.session_id = :session_id;


-- name: get_by_key(actor_id, actor_app_id, external_id)^
-- Returns the caller's own session of a key, made through the same application.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  external_id   the key
-- @return Session | none
-- @access participant
-- @shards all
-- @index  sessions_external_id_idx, session_participants_pkey or session_participants_user_id_idx
-- @cost   40
select
    s.session_id,
    s.config_id,
    s.status,
    s.title,
    s.tags,
    s.metadata,
    p.role,
    s.owner_user_id,
    s.created_by_app_id,
    s.last_accessed_by_app_id,
    s.last_accessed_at,
    s.message_count,
    s.messages_total,
    s.last_seq,
    s.created_at,
    s.updated_at,
    s.config_version,
    s.forked_from_session_id,
    s.forked_at_seq,
    s.external_id,
    s.parent_session_id
from sessions as s
inner join session_participants as p on p.session_id = s.session_id and p.user_id = s.owner_user_id
where
    s.created_by_app_id = :actor_app_id
    and s.owner_user_id = :actor_id
    and s.external_id = :external_id;


-- name: update(actor_id, actor_app_id, session_id, title, tags, metadata, merges, status, own_config_id, if_seqs)^
-- Changes a session; null leaves a value as it is. Owners and editors may; the config is set by the user who is the session's
-- owner_user_id. The event `session.updated` carries the values that differ afterwards. Without a difference the row stays
-- as it is, and there is no event.
-- @param  actor_id       user_id of the caller
-- @param  actor_app_id   the calling application
-- @param  session_id     the session
-- @param  title          new title or null; an empty one removes it
-- @param  tags           new tags or null
-- @param  metadata       new metadata or null
-- @param  merges         whether `tags` and `metadata` are JSON merge patches: members that they do not name stay
-- @param  status         new status or null
-- @param  own_config_id  a config of the caller's or null
-- @param  if_seqs        the values that last_seq may have, or null
-- @return SessionChange | none
-- @access participant
-- @shards one
-- @with   audit.add: jsonb_build_object('changed', changes) as details
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cte    locked_participant  the caller's row, locked, if the caller is an owner or editor
-- @cte    owned_config        the config, locked against deletion, if it is the caller's
-- @cte    locked_session      the session, locked, if its last_seq is one of `if_seqs` and its config may be set
-- @cte    new_values          its values after the change
-- @cte    changes             the values that differ, for the event and for the audit log, each a JSON object
-- @cte    updated_session     the session with its new values and one more number, if a value differs
-- @cte    added_event         `session.updated`, if a value differs
-- @cte    result              the session as it is now
with locked_participant as (
    select
        session_id,
        role
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and role in ('owner', 'editor')
    for no key update
),

owned_config as (
    select
        config_id,
        version
    from configs
    where
        config_id = :own_config_id
        and user_id = :actor_id
    for key share
),

locked_session as (
    select s.*
    from sessions as s
    where
        s.session_id = :session_id
        and exists (select from locked_participant)
        and (:if_seqs::bigint[] is null or s.last_seq = any(:if_seqs))
        and (
            :own_config_id::text is null
            or (s.owner_user_id = :actor_id and exists (select from owned_config))
        )
    for no key update
),

new_values as (
    select
        l.session_id,
        case when :title::text is null then l.title else nullif(:title, '') end as title,
        case
            when :merges::boolean then coalesce(nullif(merge_patch(l.tags, :tags), 'null'), '{}')
            else coalesce(:tags::jsonb, l.tags)
        end as tags,
        case
            when :merges then coalesce(nullif(merge_patch(l.metadata, :metadata), 'null'), '{}')
            else coalesce(:metadata::jsonb, l.metadata)
        end as metadata,
        coalesce(:status::text, l.status) as status,
        coalesce(c.config_id, l.config_id) as config_id,
        case
            when c.config_id is distinct from l.config_id and c.config_id is not null then c.version
            else l.config_version
        end as config_version
    from locked_session as l
    left join owned_config as c on true
),

changes as (
    select
        coalesce(jsonb_object_agg(f.name, f.value), '{}') as data,
        coalesce(
            jsonb_object_agg(
                f.name,
                case when f.is_told then jsonb_build_object('old', f.former, 'new', f.value) else '{}' end
            ),
            '{}'
        ) as told
    from locked_session as l
    inner join new_values as n on n.session_id = l.session_id
    cross join lateral (
        values
        ('title', to_jsonb(n.title), to_jsonb(l.title), true),
        ('tags', n.tags, l.tags, false),
        ('metadata', n.metadata, l.metadata, false),
        ('status', to_jsonb(n.status), to_jsonb(l.status), true),
        ('config_id', to_jsonb(n.config_id), to_jsonb(l.config_id), true)
    ) as f (name, value, former, is_told)
    where f.value is distinct from f.former
),

updated_session as (
    update sessions as s
    set
        title = n.title,
        tags = n.tags,
        metadata = n.metadata,
        status = n.status,
        config_id = n.config_id,
        config_version = n.config_version,
        last_seq = s.last_seq + 1,
        last_accessed_by_app_id = :actor_app_id,
        last_accessed_at = statement_timestamp()
    from new_values as n
    inner join changes as c on c.data <> '{}'
    where
        s.session_id = n.session_id
        and s.session_id = :session_id
    returning s.*
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq,
        'session.updated',
        c.data,
        :actor_id,
        s.updated_at
    from updated_session as s
    cross join changes as c
),

result as (
    select * from updated_session
    union all
    select * from locked_session
    where not exists (select from updated_session)
)

select
    s.session_id,
    s.config_id,
    s.status,
    s.title,
    s.tags,
    s.metadata,
    p.role,
    s.owner_user_id,
    s.created_by_app_id,
    s.last_accessed_by_app_id,
    s.last_accessed_at,
    s.message_count,
    s.messages_total,
    s.last_seq,
    s.created_at,
    s.updated_at,
    s.config_version,
    s.forked_from_session_id,
    s.forked_at_seq,
    s.external_id,
    s.parent_session_id,
    c.told as changes
from result as s
inner join locked_participant as p on p.session_id = s.session_id
cross join changes as c;


-- name: transfer(actor_id, actor_app_id, session_id, user_id)^
-- Transfers a session: the participant user_id becomes an owner and the session's owner_user_id, the caller becomes an
-- editor. Owners may. If the caller hands over to the caller and is its owner_user_id, nothing changes.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session
-- @param  user_id       the new owner, who takes part already
-- @return SessionChange | none
-- @access participant
-- @shards one
-- @with   audit.add: jsonb_build_object('changed', changes) as details
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cte    locked_participants   the rows of the caller and of the new owner, locked
-- @cte    rights                whether the caller is an owner, and whether the new owner takes part
-- @cte    changed_participants  the two with their new roles, if both are true
-- @cte    locked_session        the session with its former owner
-- @cte    handed_over_session   the session with its new owner, and one more number
-- @cte    added_event           `ownership.transferred`
-- @cte    result                the session, changed or not
with locked_participants as (
    select
        user_id,
        role
    from session_participants
    where
        session_id = :session_id
        and user_id in (:actor_id, :user_id)
    order by user_id
    for no key update
),

rights as (
    select
        bool_or(user_id = :actor_id and role = 'owner') as actor_is_owner,
        bool_or(user_id = :user_id) as user_takes_part
    from locked_participants
),

changed_participants as (
    update session_participants as p
    set role = case when p.user_id = :user_id then 'owner' else 'editor' end
    from rights as r
    where
        p.session_id = :session_id
        and p.user_id in (:actor_id, :user_id)
        and r.actor_is_owner
        and r.user_takes_part
    returning
        p.session_id,
        p.user_id,
        p.role
),

locked_session as (
    select s.*
    from sessions as s
    where
        s.session_id = :session_id
        -- counts, so that all of them are changed before the session is locked
        and (select count(*) from changed_participants) > 0
    for no key update
),

handed_over_session as (
    update sessions as s
    set
        owner_user_id = :user_id,
        last_seq = s.last_seq + 1,
        last_accessed_by_app_id = :actor_app_id,
        last_accessed_at = statement_timestamp()
    from locked_session as l
    where
        s.session_id = l.session_id
        and s.session_id = :session_id
        and (l.owner_user_id <> :user_id or (select count(*) from changed_participants) > 1)
    returning
        s.*,
        l.owner_user_id as former_owner_user_id
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        session_id,
        last_seq,
        'ownership.transferred',
        jsonb_build_object('user_id', owner_user_id, 'former_user_id', :actor_id),
        :actor_id,
        updated_at
    from handed_over_session
),

result as (
    select * from handed_over_session
    union all
    select
        *,
        null as former_owner_user_id
    from locked_session
    where not exists (select from handed_over_session)
)

select
    s.session_id,
    s.config_id,
    s.status,
    s.title,
    s.tags,
    s.metadata,
    p.role,
    s.owner_user_id,
    s.created_by_app_id,
    s.last_accessed_by_app_id,
    s.last_accessed_at,
    s.message_count,
    s.messages_total,
    s.last_seq,
    s.created_at,
    s.updated_at,
    s.config_version,
    s.forked_from_session_id,
    s.forked_at_seq,
    s.external_id,
    s.parent_session_id,
    case
        when s.former_owner_user_id is null then '{}'
        else jsonb_build_object(
            'owner_user_id', jsonb_build_object('old', s.former_owner_user_id, 'new', s.owner_user_id)
        )
    end as changes
from result as s
inner join changed_participants as p on p.session_id = s.session_id
where p.user_id = :actor_id;


-- name: lock(actor_id, session_id)
-- Locks the rows of all participants in a session that the caller owns, in the order that all statements use, and returns
-- their user_ids.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return LockedParticipant[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey
select user_id
from session_participants
where
    session_id = :session_id
    and exists (
        select
        from session_participants as actor
        where
            actor.session_id = :session_id
            and actor.user_id = :actor_id
            and actor.role = 'owner'
    )
order by user_id
for update;


-- name: delete(actor_id, session_id, if_seqs)!
-- Deletes a session and all that belongs to it. Owners may. The rows of participants, then of unfinished runs, are locked
-- before the session's, in the order that all statements use; in another order two statements would wait for each other. Run
-- it after sessions.lock in the same transaction, so that it sees participants added while that waited.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  if_seqs     the values that last_seq may have, or null
-- @return row count
-- @access participant
-- @shards one
-- @with   audit.add
-- @index  session_participants_pkey, runs_session_id_queued_at_idx or runs_pkey, sessions_pkey
with locked_participants as (
    select
        user_id,
        role
    from session_participants
    where
        session_id = :session_id
        and exists (
            select
            from session_participants as actor
            where
                actor.session_id = :session_id
                and actor.user_id = :actor_id
                and actor.role = 'owner'
        )
    order by user_id
    for update
),

rights as (
    select bool_or(user_id = :actor_id and role = 'owner') as actor_is_owner
    from locked_participants
),

locked_runs as (
    select run_id
    from runs
    where
        session_id = :session_id
        and status in ('queued', 'running')
        and (select actor_is_owner from rights)
    order by run_id
    for update
)

delete from sessions as s
using rights as r
where
    s.session_id = :session_id
    and (:if_seqs::bigint[] is null or s.last_seq = any(:if_seqs))
    and r.actor_is_owner
    and (select count(*) from locked_runs) >= 0;


-- name: lock_source(actor_id, session_id, own_config_id)!
-- Locks a session that the caller takes part in, and before it the config of its fork, in the order of statements that
-- delete a config. Until the transaction ends no message of the session is moved or deleted; appends continue. Run it before
-- sessions.fork, which then sees the transcript as it is under the lock.
-- @param  actor_id       user_id of the caller
-- @param  session_id     the session
-- @param  own_config_id  the config that the fork runs, or null for the same
-- @return row count
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey, configs_pkey
with locked_config as (
    select c.config_id
    from sessions as s
    inner join configs as c on c.config_id = coalesce(:own_config_id::text, s.config_id)
    where
        s.session_id = :session_id
        and c.user_id = :actor_id
    for key share of c
)

select
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
left join locked_config as c on true
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and s.session_id = :session_id
for key share of s;


-- name: fork(actor_id, actor_app_id, session_id, new_session_id, own_config_id, title, up_to_seq, most)^
-- Creates a session of the caller's as a copy of a session that the caller may export, up to a number of its clock. It runs
-- a config of the caller's, so that a copy gives nobody the use of another user's config, or none if the session has
-- none. transcripts.copy follows in the same transaction, because search entries of messages depend on the session's language.
-- @param  actor_id        user_id of the caller
-- @param  actor_app_id    the calling application
-- @param  session_id      the session to copy
-- @param  new_session_id  id of the new session
-- @param  own_config_id   the config to run, or null for the same
-- @param  title           the new title, or null for the same; an empty one for none
-- @param  up_to_seq       number of the last message to copy, or null for all
-- @param  most            messages at most: with more nothing is copied
-- @return Session | none
-- @access participant
-- @shards all
-- @with   audit.add: jsonb_build_object('forked_at_seq', forked_at_seq) as details
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey, configs_pkey, messages_pkey
-- @cost   3000
-- @cte    source            the session to copy, if the caller may export it and its clock has reached `up_to_seq`
-- @cte    owned_config      the config, locked against deletion, if it is the caller's
-- @cte    counted_messages  how many messages there are to copy, and how many of them are from users; stops after `most` + 1
-- @cte    created_session   the new session, if there are at most `most` messages
-- @cte    added_owner       the caller as its owner
-- @cte    counted_session   one more session in the caller's row of users
with source as (
    select
        coalesce(:own_config_id::text, s.config_id) as config_id,
        nullif(coalesce(:title::text, s.title), '') as title,
        s.tags,
        s.metadata,
        coalesce(:up_to_seq::bigint, s.last_seq) as up_to_seq
    from session_participants as p
    inner join sessions as s on s.session_id = p.session_id
    where
        p.session_id = :session_id
        and p.user_id = :actor_id
        and may_export(p.role, p.permissions)
        and s.session_id = :session_id
        and (:up_to_seq::bigint is null or s.last_seq >= :up_to_seq)
),

owned_config as (
    select
        c.config_id,
        c.version
    from configs as c
    inner join source as s on s.config_id = c.config_id
    where c.user_id = :actor_id
    for key share of c
),

counted_messages as (
    select
        count(*) as messages,
        count(*) filter (where role = 'user') as from_users
    from (
        select role
        from messages
        where
            session_id = :session_id
            and seq <= (select max(up_to_seq) from source)
        limit :most::bigint + 1
    ) as m
),

created_session as (
    insert into sessions (
        session_id, config_id, config_version, owner_user_id, created_by_app_id, last_accessed_by_app_id, last_accessed_at,
        title, tags, metadata, message_count, messages_total, last_seq, forked_from_session_id, forked_at_seq
    )
    select
        :new_session_id,
        c.config_id,
        c.version,
        :actor_id,
        :actor_app_id,
        :actor_app_id,
        now(),
        s.title,
        s.tags,
        s.metadata,
        m.from_users,
        m.messages,
        s.up_to_seq,
        :session_id,
        s.up_to_seq
    from source as s
    left join owned_config as c on c.config_id = s.config_id
    cross join counted_messages as m
    where
        m.messages <= :most
        and (s.config_id is null or c.config_id is not null)
    returning *
),

added_owner as (
    insert into session_participants (session_id, user_id, role)
    select
        session_id,
        :actor_id,
        'owner'
    from created_session
    returning session_id, role
),

counted_session as (
    insert into users (user_id, last_seen_app_id, total_sessions)
    select
        :actor_id,
        :actor_app_id,
        1
    from created_session
    on conflict (user_id) do update
    set total_sessions = users.total_sessions + 1
)

select
    s.session_id,
    s.config_id,
    s.status,
    s.title,
    s.tags,
    s.metadata,
    p.role,
    s.owner_user_id,
    s.created_by_app_id,
    s.last_accessed_by_app_id,
    s.last_accessed_at,
    s.message_count,
    s.messages_total,
    s.last_seq,
    s.created_at,
    s.updated_at,
    s.config_version,
    s.forked_from_session_id,
    s.forked_at_seq,
    s.external_id,
    s.parent_session_id
from created_session as s
inner join added_owner as p on p.session_id = s.session_id;
