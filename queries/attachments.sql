-- name: create(actor_id, actor_app_id, session_id, sha256, size, content_type, name, location, most_in_session, most_of_user)^
-- Adds an attachment to a session, or returns the one of the same content, whose time until it is swept begins again.
-- Participants who may send may; the session must be active. Returns no row if they may not, or if the attachments of the
-- session or of the caller would exceed their limits. Its content follows in the same transaction.
-- @param  actor_id         user_id of the caller
-- @param  actor_app_id     the calling application
-- @param  session_id       the session
-- @param  sha256           hash of the content
-- @param  size             bytes
-- @param  content_type     media type
-- @param  name             the file's name, or null
-- @param  location         name of the blob, or null
-- @param  most_in_session  bytes of all attachments of a session
-- @param  most_of_user     bytes of all attachments of the caller
-- @return NewAttachment | none
-- @access participant
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey, attachments_pkey, attachments_created_by_user_id_idx
with writable_session as (
    select s.session_id
    from session_participants as p
    inner join sessions as s on s.session_id = p.session_id
    where
        p.session_id = :session_id
        and p.user_id = :actor_id
        and may_send(p.role, p.permissions)
        and s.session_id = :session_id
        and s.status = 'active'
)

insert into attachments (
    session_id, sha256, size, content_type, name, location, created_by_user_id, created_by_app_id
)
select
    :session_id,
    :sha256::text,
    :size::bigint,
    :content_type,
    :name,
    :location,
    :actor_id,
    :actor_app_id
from writable_session
where
    exists (
        select 1
        from attachments
        where
            session_id = :session_id
            and sha256 = :sha256::text
    )
    or (
        (select coalesce(sum(size), 0) from attachments where session_id = :session_id) + :size::bigint
        <= :most_in_session::bigint
        and (select coalesce(sum(size), 0) from attachments where created_by_user_id = :actor_id) + :size::bigint
        <= :most_of_user::bigint
    )
on conflict (session_id, sha256) do update set checked_at = excluded.checked_at
returning
    'amplifier:sha256/' || sha256 as attachment,
    size,
    content_type,
    name,
    created_by_user_id,
    created_at,
    xmax = 0 as is_new;


-- name: add_chunk(actor_id, session_id, sha256, start, data)!
-- Adds a part of the content of an attachment that the caller made.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  sha256      hash of the content
-- @param  start       place of the first byte
-- @param  data        the bytes
-- @return row count
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, attachments_pkey
insert into attachment_chunks (session_id, sha256, start, data)
select
    a.session_id,
    a.sha256,
    :start,
    :data
from session_participants as p
inner join attachments as a on a.session_id = p.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and a.session_id = :session_id
    and a.sha256 = :sha256
    and a.created_by_user_id = :actor_id;


-- name: list(actor_id, session_id, before_created_at, before_sha256, limit)
-- Lists the attachments of a session, the newest first.
-- @param  actor_id           user_id of the caller
-- @param  session_id         the session
-- @param  before_created_at  created_at of the last row of the page before
-- @param  before_sha256      sha256 of the last row of the page before
-- @param  limit              rows at most
-- @return Attachment[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, attachments_pkey
select
    'amplifier:sha256/' || a.sha256 as attachment,
    a.size,
    a.content_type,
    a.name,
    a.created_by_user_id,
    a.created_at
from session_participants as p
inner join attachments as a on a.session_id = p.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and a.session_id = :session_id
    and (a.created_at, a.sha256) < (:before_created_at, :before_sha256)
order by
    a.created_at desc,
    a.sha256 desc
limit :limit;


-- name: get(actor_id, session_id, sha256)^
-- Returns one attachment and where its content is. Participants may.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  sha256      hash of the content
-- @return StoredAttachment | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, attachments_pkey
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
    and a.sha256 = :sha256;


-- name: get_chunk(actor_id, session_id, sha256, place)^
-- Returns the part of an attachment's content that has the byte at a place.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  sha256      hash of the content
-- @param  place       place of the byte
-- @return AttachmentChunk | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, attachment_chunks_pkey
select
    c.start,
    c.data
from session_participants as p
inner join attachment_chunks as c on c.session_id = p.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and c.session_id = :session_id
    and c.sha256 = :sha256
    and c.start <= :place
order by c.start desc
limit 1;


-- name: get_usage(actor_id, session_id)^
-- Returns the bytes of all attachments of a session, and of the caller.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return AttachmentUsage | none
-- @access participant
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, attachments_pkey, attachments_created_by_user_id_idx
select
    (select coalesce(sum(size), 0)::bigint from attachments where session_id = :session_id) as in_session,
    (select coalesce(sum(size), 0)::bigint from attachments where created_by_user_id = :actor_id) as of_user
from session_participants
where
    session_id = :session_id
    and user_id = :actor_id;


-- name: delete(actor_id, session_id, sha256)!
-- Deletes an attachment with its content. Owners, editors and the participant who sent it may.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  sha256      hash of the content
-- @return row count
-- @access participant
-- @shards one
-- @with   audit.add
-- @index  session_participants_pkey or session_participants_user_id_idx, attachments_pkey
delete from attachments as a
using session_participants as p
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and a.session_id = :session_id
    and a.sha256 = :sha256
    and (
        p.role in ('owner', 'editor')
        or a.created_by_user_id = :actor_id
    );
