-- name: create(actor_id, actor_app_id, session_id, messages, keys, replaces, expected_seq, state, versions)^
-- Adds the messages whose key is new in the session to the end of a transcript, and those without a key. Of the others, it
-- skips those whose key is there, or, with `replaces`, replaces the message that is there if it differs: it keeps its
-- number, author and time, and the event `message.updated` follows. All or none. Of several messages with one key the first
-- is added, with `replaces` the last in its place. Owners and editors replace any message, other participants their own.
-- Merges patches into the documents of the session, the caller and the application, too; the event `state.updated` follows
-- if the session's changed. Locks documents of application and user first, then as messages.append does, so that an append
-- without them never waits for one that waits for them; keys are looked up under the lock of the session's row. If nothing
-- differs, nothing is changed. Returns no row if the caller may not send or replace, the session is not active, or
-- `expected_seq` or a version is stale.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session
-- @param  messages      a JSON array of messages
-- @param  keys          the key of each message, an empty one for none
-- @param  replaces      whether messages whose key is there replace those
-- @param  expected_seq  the session's last_seq, or null
-- @param  state         a JSON object of patches by scope, or null
-- @param  versions      a JSON object of the versions that documents have, by scope, or null
-- @return AppendedWith | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cost   200
-- @cte    locked_states       locks the documents of the application and the user that `state` names
-- @cte    locked_participant  the caller's row, locked, if the caller may send
-- @cte    locked_session      the session, locked, if it is active and its clock is `expected_seq`
-- @cte    known_messages      the messages of the session that have one of the keys
-- @cte    placed_messages     the messages, each with the first one of its key, what is to be stored, and what is there
-- @cte    new_messages        those to add, with their places
-- @cte    changed_messages    those to replace, with the places of their events
-- @cte    counted_session     how many there are of both, unless one may not be replaced or a version is stale
-- @cte    patched_states      the documents after the patches, and the version of the session's if it changed
-- @cte    advanced_session    the session with numbers for them, if there are any
-- @cte    added_messages      the added messages
-- @cte    replaced_messages   replaces messages and returns how many
-- @cte    added_events        `message.updated` for each of them
-- @cte    added_event         `state.updated`
with locked_states as materialized (
    select states_lock(
        :actor_app_id, :actor_id, coalesce(:state::jsonb ? 'application', false), coalesce(:state::jsonb ? 'user', false)
    ) as is_locked
),

locked_participant as (
    select
        p.session_id,
        p.role in ('owner', 'editor') as may_replace
    from session_participants as p
    inner join locked_states as l on l.is_locked
    where
        p.session_id = :session_id
        and p.user_id = :actor_id
        and may_send(p.role, p.permissions)
    for no key update of p
),

locked_session as materialized (
    select
        s.session_id,
        s.last_seq,
        s.message_count,
        s.messages_total,
        p.may_replace
    from sessions as s
    inner join locked_participant as p on p.session_id = s.session_id
    where
        s.session_id = :session_id
        and s.status = 'active'
        and (:expected_seq::bigint is null or s.last_seq = :expected_seq)
    for no key update of s
),

known_messages as materialized (
    select
        k.seq,
        k.key,
        k.message,
        k.role,
        k.author_user_id
    from locked_session as s
    cross join lateral messages_by_key(s.session_id, :keys) as k
),

placed_messages as materialized (
    select
        m.number,
        m.key,
        min(m.number) over same_key as first_number,
        case when :replaces::boolean then last_value(m.value) over same_key else m.value end as value,
        k.seq,
        k.message,
        k.role,
        k.author_user_id
    from (
        select
            ordinality as number,
            value,
            nullif(key, '') as key
        from rows from (jsonb_array_elements(:messages::jsonb), unnest(:keys::text[])) with ordinality as t (value, key)
    ) as m
    left join known_messages as k on k.key = m.key
    window same_key as (
        partition by m.key, case when m.key is null then m.number end
        order by m.number
        rows between unbounded preceding and unbounded following
    )
),

new_messages as materialized (
    select
        number,
        key,
        value,
        row_number() over (order by number) as place
    from placed_messages
    where
        number = first_number
        and seq is null
),

changed_messages as materialized (
    select
        seq,
        key,
        value,
        (message_role(value) is not distinct from 'user')::integer - (role is not distinct from 'user')::integer as from_users,
        author_user_id,
        row_number() over (order by number) as place
    from placed_messages
    where
        :replaces::boolean
        and number = first_number
        and value <> message
),

counted_session as materialized (
    select
        s.session_id,
        s.last_seq,
        s.message_count,
        s.messages_total,
        n.added,
        c.changed,
        n.from_users + c.from_users as from_users
    from locked_session as s
    cross join (
        select
            count(*) as added,
            count(*) filter (where message_role(value) = 'user') as from_users
        from new_messages
    ) as n
    cross join (
        select
            count(*) as changed,
            coalesce(sum(from_users), 0) as from_users,
            count(*) filter (where author_user_id <> :actor_id) as of_others
        from changed_messages
    ) as c
    where
        (s.may_replace or c.of_others = 0)
        and (
            :versions::jsonb is null
            or not exists (
                select
                from states_read(s.session_id, :actor_app_id, :actor_id) as r
                where (:versions::jsonb ->> r.scope)::bigint <> r.version
            )
        )
),

patched_states as materialized (
    select
        c.session_id,
        p.state,
        p.session_version,
        p.session_names,
        (p.session_version is not null)::integer as events
    from counted_session as c
    cross join lateral states_patch(c.session_id, :actor_app_id, :actor_id, :state) as p
    where :state::jsonb is not null
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + c.added + c.changed + c.events,
        message_count = s.message_count + c.from_users,
        messages_total = s.messages_total + c.added,
        last_accessed_by_app_id = :actor_app_id,
        last_accessed_at = statement_timestamp()
    from (
        select
            c.session_id,
            c.added,
            c.changed,
            c.from_users,
            coalesce(p.events, 0) as events
        from counted_session as c
        left join patched_states as p on p.session_id = c.session_id
    ) as c
    where
        s.session_id = c.session_id
        and s.session_id = :session_id
        and c.added + c.changed + c.events > 0
    returning
        s.session_id,
        s.last_seq,
        s.last_seq - c.changed - c.events as added_seq,
        s.message_count,
        s.messages_total,
        s.updated_at,
        c.added,
        c.changed
),

added_messages as (
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at, key)
    select
        s.session_id,
        s.added_seq - s.added + m.place,
        m.value,
        :actor_id,
        :actor_app_id,
        s.updated_at,
        m.key
    from advanced_session as s
    cross join new_messages as m
),

replaced_messages as materialized (
    select
        s.session_id,
        s.added_seq,
        s.updated_at,
        messages_replace(s.session_id, array_agg(m.seq), array_agg(m.value)) as replaced
    from advanced_session as s
    cross join changed_messages as m
    group by
        s.session_id,
        s.added_seq,
        s.updated_at
),

added_events as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        r.session_id,
        r.added_seq + m.place,
        'message.updated',
        jsonb_build_object('message_seq', m.seq, 'key', m.key),
        :actor_id,
        r.updated_at
    from replaced_messages as r
    cross join changed_messages as m
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq,
        'state.updated',
        jsonb_build_object('version', p.session_version, 'names', p.session_names),
        :actor_id,
        s.updated_at
    from advanced_session as s
    inner join patched_states as p on p.session_id = s.session_id
    where p.events > 0
)

select
    c.session_id,
    coalesce(m.seqs[1], coalesce(s.last_seq, c.last_seq) + 1) as first_seq,
    coalesce(s.last_seq, c.last_seq) as last_seq,
    coalesce(s.message_count, c.message_count) as message_count,
    coalesce(s.messages_total, c.messages_total) as messages_total,
    m.seqs,
    m.skipped,
    m.replaced,
    coalesce(p.state, '{}') as state
from counted_session as c
left join patched_states as p on p.session_id = c.session_id
left join advanced_session as s on s.session_id = c.session_id
cross join lateral (
    select
        coalesce(array_agg(coalesce(p.seq, s.added_seq - s.added + n.place) order by p.number), '{}') as seqs,
        coalesce(
            array_agg(p.number - 1 order by p.number)
            filter (where not is_replaced and (p.seq is not null or p.number > p.first_number)), '{}'
        ) as skipped,
        coalesce(array_agg(p.number - 1 order by p.number) filter (where is_replaced), '{}') as replaced
    from placed_messages as p
    left join new_messages as n on n.number = p.first_number
    cross join lateral (
        select :replaces::boolean and case when p.seq is null then p.number > p.first_number else p.value <> p.message end
    ) as r (is_replaced)
) as m;
