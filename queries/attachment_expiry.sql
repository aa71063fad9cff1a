-- name: claim(before, limit)
-- Claims the attachments that were checked longest ago, for a search of their references, with the clocks of their sessions.
-- @param  before  only those that were checked before this time
-- @param  limit   rows at most
-- @return UncheckedAttachment[]
-- @access system
-- @shards all
-- @index  attachments_checked_at_idx
with due as (
    select
        session_id,
        sha256
    from attachments
    where checked_at < :before
    order by checked_at
    limit :limit
    for no key update skip locked
)

update attachments as a
set checked_at = statement_timestamp()
from due as d
inner join sessions as s on s.session_id = d.session_id
where
    a.session_id = d.session_id
    and a.sha256 = d.sha256
returning
    a.session_id,
    a.sha256,
    a.referenced_seq,
    a.checked_at,
    s.last_seq;


-- name: find_reference(session_id, sha256, referenced_seq)$
-- Returns the number of a message that refers to an attachment, also of one that was taken back, or null. Looks first at the
-- message that referred to it before.
-- @param  session_id      the session
-- @param  sha256          hash of the content
-- @param  referenced_seq  number of the message that was found by the last search, or null
-- @return value
-- @access system
-- @shards one
-- @index  messages_pkey, retracted_messages_pkey
select coalesce(
    (
        select seq
        from messages
        where
            session_id = :session_id
            and seq = :referenced_seq::bigint
            and strpos(message::text, 'amplifier:sha256/' || :sha256) > 0
    ),
    (
        select seq
        from messages
        where
            session_id = :session_id
            and strpos(message::text, 'amplifier:sha256/' || :sha256) > 0
        order by seq desc
        limit 1
    ),
    (
        select min(seq)
        from retracted_messages
        where
            session_id = :session_id
            and strpos(message::text, 'amplifier:sha256/' || :sha256) > 0
    )
) as seq;


-- name: keep(session_id, sha256, seq)!
-- Notes the message that refers to an attachment.
-- @param  session_id  the session
-- @param  sha256      hash of the content
-- @param  seq         number of the message
-- @return row count
-- @access system
-- @shards one
-- @index  attachments_pkey
update attachments
set referenced_seq = :seq
where
    session_id = :session_id
    and sha256 = :sha256
    and referenced_seq is distinct from :seq;


-- name: lock_session(session_id)$
-- Locks a session against appends, and returns its clock.
-- @param  session_id  the session
-- @return value
-- @access system
-- @shards one
-- @index  sessions_pkey
select last_seq
from sessions
where session_id = :session_id
for no key update;


-- name: delete(session_id, sha256, checked_before)!
-- Deletes an attachment to which no message refers, unless it was sent again meanwhile.
-- @param  session_id      the session
-- @param  sha256          hash of the content
-- @param  checked_before  only if it was checked or sent before this time
-- @return row count
-- @access system
-- @shards one
-- @index  attachments_pkey
delete from attachments
where
    session_id = :session_id
    and sha256 = :sha256
    and checked_at <= :checked_before;


-- name: plan_removal(location, due_at)!
-- Notes a blob before it is written, so that it is removed if no attachment gets it.
-- @param  location  name of the blob
-- @param  due_at    time from which on it is removed
-- @return row count
-- @access system
-- @shards local
-- @index  attachment_removals_pkey
insert into attachment_removals (location, due_at) values (:location, :due_at)
on conflict (location) do nothing;


-- name: list_removals(limit)
-- Lists blobs that are to be removed if no attachment has them, the longest due first.
-- @param  limit  rows at most
-- @return AttachmentRemoval[]
-- @access system
-- @shards all
-- @index  attachment_removals_due_at_idx
select
    r.location,
    a.location is not null as is_used
from attachment_removals as r
left join lateral (
    select location
    from attachments
    where location = r.location
    limit 1
) as a on true
where r.due_at <= clock_timestamp()
order by r.due_at
limit :limit;


-- name: end_removal(location)!
-- Forgets a blob that was removed, or that an attachment has.
-- @param  location  name of the blob
-- @return row count
-- @access system
-- @shards local
-- @index  attachment_removals_pkey
delete from attachment_removals
where location = :location;
