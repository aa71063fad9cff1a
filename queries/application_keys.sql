-- name: list(actor_id, app_id, reader_app_id, is_admin, after_created_at, after_key_id, limit)
-- An application's keys, newest first, for its key managers and for admin applications.
-- @param  actor_id          user_id of the caller
-- @param  app_id            the application
-- @param  reader_app_id     the calling application
-- @param  is_admin          whether that is an admin application
-- @param  after_created_at  position of the last row of the page before
-- @param  after_key_id      the same
-- @param  limit             rows at most
-- @return ApplicationKeySummary[]
-- @access system
-- @shards local
-- @index  application_keys_app_id_name_key, applications_pkey
select
    k.key_id,
    k.name,
    k.created_at,
    k.expires_at,
    k.last_used_at
from application_keys as k
inner join applications as a on a.app_id = k.app_id
where
    a.app_id = :app_id
    and ((a.app_id = :reader_app_id and :actor_id = any(a.key_managers)) or :is_admin::boolean)
    and (k.created_at, k.key_id) < (:after_created_at, :after_key_id::text)
order by k.created_at desc, k.key_id desc
limit :limit;


-- name: create(app_id, key_id, name, api_key_hash, expires_in, most)^
-- Adds a key to an application. Run it after applications.lock in the same transaction, so that it counts all other keys.
-- Returns no row if the application has as many keys as it may have.
-- @param  app_id        the application
-- @param  key_id        the key up to its secret part
-- @param  name          its name, unique in the application
-- @param  api_key_hash  SHA-256 of the key, in hexadecimal
-- @param  expires_in    seconds until it stops, or null
-- @param  most          keys an application may have
-- @return ApplicationKeySummary | none
-- @access system
-- @shards local
-- @with   audit.add
-- @index  application_keys_app_id_name_key
insert into application_keys (app_id, key_id, name, api_key_hash, expires_at)
select
    :app_id::text,
    :key_id,
    :name,
    :api_key_hash,
    now() + make_interval(secs => :expires_in::integer)
where (select count(*) from application_keys where app_id = :app_id) < :most::bigint
returning
    key_id,
    name,
    created_at,
    expires_at,
    last_used_at;


-- name: delete(actor_id, app_id, key_id, reader_app_id, is_admin)!
-- Deletes a key, which stops working at once: the application is touched, so that every process learns of it. The default
-- key is also in applications and can only be replaced. For key managers and for admin applications.
-- @param  actor_id       user_id of the caller
-- @param  app_id         the application
-- @param  key_id         the key up to its secret part
-- @param  reader_app_id  the calling application
-- @param  is_admin       whether that is an admin application
-- @return row count
-- @access system
-- @shards local
-- @with   audit.add
-- @index  application_keys_pkey or application_keys_app_id_name_key, applications_pkey
with removed_key as (
    delete from application_keys as k
    using applications as a
    where
        k.key_id = :key_id
        and k.app_id = :app_id
        and k.name <> 'default'
        and a.app_id = :app_id
        and ((a.app_id = :reader_app_id and :actor_id = any(a.key_managers)) or :is_admin::boolean)
    returning k.app_id
)

update applications as a
set updated_at = clock_timestamp()
from removed_key as k
where a.app_id = k.app_id;


-- name: touch(key_ids)!
-- Updates `last_used_at` of keys that were used.
-- @param  key_ids  the keys up to their secret parts
-- @return row count
-- @access system
-- @shards local
-- @index  application_keys_pkey
update application_keys
set last_used_at = now()
where key_id = any(:key_ids::text[]);
