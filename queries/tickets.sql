-- name: create(actor_id, actor_app_id, session_id, ticket_hash, token_expires_at)$
-- Creates a ticket of 30 seconds for one stream of a session that the caller takes part in.
-- @param  actor_id          user_id of the caller
-- @param  actor_app_id      the calling application
-- @param  session_id        the session
-- @param  ticket_hash       SHA-256 of the ticket, in hexadecimal
-- @param  token_expires_at  when the caller's credentials end
-- @return value | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx
insert into stream_tickets (ticket_hash, session_id, user_id, app_id, token_expires_at, expires_at)
select
    :ticket_hash,
    session_id,
    user_id,
    :actor_app_id,
    :token_expires_at,
    now() + interval '30 seconds'
from session_participants
where
    session_id = :session_id
    and user_id = :actor_id
returning expires_at;


-- name: create_for_hints(actor_id, actor_app_id, ticket_hash, token_expires_at)^
-- Creates such a ticket for a stream of hints about all sessions of the caller.
-- @param  actor_id          user_id of the caller
-- @param  actor_app_id      the calling application
-- @param  ticket_hash       SHA-256 of the ticket, in hexadecimal
-- @param  token_expires_at  when the caller's credentials end
-- @return HintsTicket
-- @access self
-- @shards local
-- @index  none
insert into stream_tickets (ticket_hash, user_id, app_id, token_expires_at, expires_at)
values (:ticket_hash, :actor_id, :actor_app_id, :token_expires_at, now() + interval '30 seconds')
returning
    expires_at,
    user_id;


-- name: claim(ticket_hash, session_id)^
-- Uses up a ticket and returns for whom it was made. Returns no row for a ticket that was used, has expired, is for another
-- session, or was made through an application that is disabled now or has changed since, as open streams end then.
-- @param  ticket_hash  SHA-256 of the ticket, in hexadecimal
-- @param  session_id   the session, or null for hints
-- @return ClaimedTicket | none
-- @access system
-- @shards local
-- @index  stream_tickets_pkey
with used_ticket as (
    delete from stream_tickets as t
    where
        t.ticket_hash = :ticket_hash
        and t.session_id is not distinct from :session_id::text
        and t.expires_at > now()
        and not exists (
            select
            from applications as a
            where
                a.app_id = t.app_id
                and (not a.is_active or a.updated_at > t.expires_at - interval '30 seconds')
        )
    returning
        t.user_id,
        t.app_id,
        t.token_expires_at
)

select
    t.user_id,
    t.app_id,
    t.token_expires_at,
    (select request_limit(a.settings) from applications as a where a.app_id = t.app_id) as requests_per_minute
from used_ticket as t;


-- name: sweep(limit)!
-- Deletes expired tickets that were not used.
-- @param  limit  rows at most
-- @return row count
-- @access system
-- @shards local
-- @index  stream_tickets_expires_at_idx, stream_tickets_pkey
with expired_rows as (
    select ticket_hash
    from stream_tickets
    where expires_at <= now()
    order by expires_at
    limit :limit
    for update skip locked
)

delete from stream_tickets as t
using expired_rows as e
where t.ticket_hash = e.ticket_hash;
