-- name: claim(actor_id, actor_app_id, key_hash)^
-- Locks a key until the transaction ends, and returns the answer that it got within a day. `is_free` is false while another
-- transaction holds the key; `is_visible` is false if the caller no longer sees what the answer shows, applications
-- excepted.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  key_hash      SHA-256 of the caller and the key, in hexadecimal
-- @return IdempotencyClaim
-- @access system
-- @shards all
-- @index  idempotency_keys_pkey, session_participants_pkey or session_participants_user_id_idx, configs_pkey or configs_user_id_idx, applications_pkey
select
    pg_try_advisory_xact_lock(hashtextextended(:key_hash::text, 0)) as is_free,
    k.request_hash,
    k.status,
    k.response,
    k.etag,
    k.is_encrypted,
    not exists (
        select
        from unnest(k.session_ids) as shown (session_id)
        where (select p.session_id from session_participants as p where p.session_id = shown.session_id and p.user_id = :actor_id) is null
    )
    and not exists (
        select
        from unnest(k.config_ids) as shown (config_id)
        where (select c.config_id from configs as c where c.config_id = shown.config_id and c.user_id = :actor_id) is null
    )
    and not exists (
        select
        from unnest(k.app_ids) as shown (app_id)
        where (select a.app_id from applications as a where a.app_id = shown.app_id) is null
    ) as is_visible,
    k.app_ids
from (select) as one
left join idempotency_keys as k
    on
        k.app_id = :actor_app_id
        and k.user_id = :actor_id
        and k.key_hash = :key_hash
        and k.created_at > now() - interval '24 hours';


-- name: store(actor_id, actor_app_id, key_hash, request_hash, status, response, etag, session_ids, config_ids, app_ids)!
-- Stores the answer to a request with a key, and which of the things that it shows the caller still sees when the request is
-- done: none of those that it deletes. Changes no row if another transaction was first.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  key_hash      SHA-256 of the caller and the key, in hexadecimal
-- @param  request_hash  SHA-256 of the request, in hexadecimal
-- @param  status        the answer's status
-- @param  response      its body, encrypted
-- @param  etag          its ETag or null
-- @param  session_ids   sessions that the request or its answer names
-- @param  config_ids    configs likewise
-- @param  app_ids       applications likewise
-- @return row count
-- @access system
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, configs_pkey or configs_user_id_idx, applications_pkey
insert into idempotency_keys as k (
    app_id, user_id, key_hash, request_hash, status, response, etag, session_ids, config_ids, app_ids
)
select
    :actor_app_id,
    :actor_id,
    :key_hash,
    :request_hash,
    :status,
    :response,
    :etag,
    array(
        select shown.session_id
        from unnest(:session_ids::text[]) as shown (session_id)
        where (select true from session_participants as p where p.session_id = shown.session_id and p.user_id = :actor_id)
    ),
    array(
        select shown.config_id
        from unnest(:config_ids::text[]) as shown (config_id)
        where (select true from configs as c where c.config_id = shown.config_id and c.user_id = :actor_id)
    ),
    array(
        select shown.app_id
        from unnest(:app_ids::text[]) as shown (app_id)
        where (select true from applications as a where a.app_id = shown.app_id)
    )
on conflict on constraint idempotency_keys_pkey do update
set
    request_hash = excluded.request_hash,
    status = excluded.status,
    response = excluded.response,
    is_encrypted = true,
    etag = excluded.etag,
    session_ids = excluded.session_ids,
    config_ids = excluded.config_ids,
    app_ids = excluded.app_ids,
    created_at = excluded.created_at
where k.created_at <= now() - interval '24 hours';


-- name: keep(actor_id, actor_app_id, key_hash, request_hash, answer_status, session_id)!
-- Stores the answer to a change of a session that has nothing but ids and numbers. As the `@with` of another query it stores
-- that query's row as the answer, in its statement. If there is an answer already, also an expired one, that is a unique
-- violation, which takes the change back.
-- @param  actor_id       user_id of the caller
-- @param  actor_app_id   the calling application
-- @param  key_hash       SHA-256 of the caller and the key, in hexadecimal
-- @param  request_hash   SHA-256 of the request, in hexadecimal
-- @param  answer_status  the answer's status
-- @param  session_id     the session, which the caller sees
-- @return row count
-- @access system
-- @shards local
-- @index  none
insert into idempotency_keys (
    app_id, user_id, key_hash, request_hash, status, response, is_encrypted, session_ids, config_ids, app_ids
)
select
    :actor_app_id,
    :actor_id,
    :key_hash,
    :request_hash,
    :answer_status,
    convert_to(outcome.answer, 'UTF8'),
    false,
    array[:session_id::text],
    '{}',
    '{}'
from (select '{}'::text as answer) as outcome;


-- name: sweep(limit)!
-- Deletes expired answers.
-- @param  limit  rows at most
-- @return row count
-- @access system
-- @shards local
-- @index  idempotency_keys_created_at_idx
with expired_rows as (
    select
        app_id,
        user_id,
        key_hash
    from idempotency_keys
    where created_at <= now() - interval '24 hours'
    order by created_at
    limit :limit
    for update skip locked
)

delete from idempotency_keys as t
using expired_rows as e
where
    t.app_id = e.app_id
    and t.user_id = e.user_id
    and t.key_hash = e.key_hash;
