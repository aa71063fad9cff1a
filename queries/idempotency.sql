-- name: claim(actor_id, actor_app_id, key_hash)^
-- Takes a key until the transaction ends, and shows the answer that was given to it within a day. `is_free` is false while
-- another transaction has the key.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  key_hash      SHA-256 of the caller and the key, in hexadecimal
-- @return IdempotencyClaim
-- @access system
-- @index  idempotency_keys_pkey
select
    pg_try_advisory_xact_lock(hashtextextended(:key_hash::text, 0)) as is_free,
    k.request_hash,
    k.status,
    k.response,
    k.etag
from (select) as one
left join idempotency_keys as k
    on
        k.app_id = :actor_app_id
        and k.user_id = :actor_id
        and k.key_hash = :key_hash
        and k.created_at > now() - interval '24 hours';


-- name: store(actor_id, actor_app_id, key_hash, request_hash, status, response, etag)!
-- Keeps the answer to a request with a key. No row when another transaction was first.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  key_hash      SHA-256 of the caller and the key, in hexadecimal
-- @param  request_hash  SHA-256 of what was asked, in hexadecimal
-- @param  status        the answer's status
-- @param  response      its body, encrypted
-- @param  etag          its ETag or null
-- @return row count
-- @access system
-- @index  none
insert into idempotency_keys as k (app_id, user_id, key_hash, request_hash, status, response, etag)
values (:actor_app_id, :actor_id, :key_hash, :request_hash, :status, :response, :etag)
on conflict on constraint idempotency_keys_pkey do update
set
    request_hash = excluded.request_hash,
    status = excluded.status,
    response = excluded.response,
    etag = excluded.etag,
    created_at = excluded.created_at
where k.created_at <= now() - interval '24 hours';


-- name: sweep(limit)!
-- Deletes answers that are kept no longer.
-- @param  limit  rows at most
-- @return row count
-- @access system
-- @index  idempotency_keys_created_at_idx
delete from idempotency_keys
where (app_id, user_id, key_hash) in (
    select
        app_id,
        user_id,
        key_hash
    from idempotency_keys
    where created_at <= now() - interval '24 hours'
    order by created_at
    limit :limit
    for update skip locked
);
