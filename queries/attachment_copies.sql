-- name: copy(actor_id, actor_app_id, session_id, fork_id)
-- Copies the attachments to which the messages of a fork refer from the session that was forked, and returns them. Locks
-- them, so that none is deleted meanwhile. Their content follows in the same transaction.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session to copy from
-- @param  fork_id       the session to copy into
-- @return CopiedAttachment[]
-- @access participant
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, attachments_pkey
with found as materialized (
    select
        a.sha256,
        a.size,
        a.content_type,
        a.name,
        a.location
    from session_participants as p
    inner join attachments as a on a.session_id = p.session_id
    where
        p.session_id = :session_id
        and p.user_id = :actor_id
        and a.session_id = :session_id
        and a.sha256 in (
            select matched[1]
            from messages as m
            cross join lateral regexp_matches(m.message::text, 'amplifier:sha256/([0-9a-f]{64})', 'g') as matched
            where m.session_id = :fork_id
        )
        and exists (
            select 1
            from session_participants
            where
                session_id = :fork_id
                and user_id = :actor_id
                and role = 'owner'
        )
    for key share of a
)

insert into attachments (session_id, sha256, size, content_type, name, location, created_by_user_id, created_by_app_id)
select
    :fork_id,
    sha256,
    size,
    content_type,
    name,
    location,
    :actor_id,
    :actor_app_id
from found
returning
    sha256,
    size,
    location;


-- name: copy_chunks(actor_id, session_id, fork_id, sha256)!
-- Copies the content of an attachment into a fork that the caller owns.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session to copy from
-- @param  fork_id     the session to copy into
-- @param  sha256      hash of the content
-- @return row count
-- @access participant
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, attachments_pkey, attachment_chunks_pkey
insert into attachment_chunks (session_id, sha256, start, data)
select
    a.session_id,
    c.sha256,
    c.start,
    c.data
from session_participants as p
inner join attachment_chunks as c on c.session_id = p.session_id
inner join attachments as a on a.sha256 = c.sha256
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and c.session_id = :session_id
    and c.sha256 = :sha256
    and a.session_id = :fork_id
    and exists (
        select 1
        from session_participants
        where
            session_id = :fork_id
            and user_id = :actor_id
            and role = 'owner'
    );


-- name: exist(actor_id, session_id)$
-- Returns whether a session has attachments. Participants may ask.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return value
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, attachments_pkey
select true
from session_participants as p
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and exists (
        select
        from attachments
        where session_id = :session_id
    );
