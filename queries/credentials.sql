-- name: find_by_prefix(api_key_prefix)^
-- Returns the application that a presented API key may belong to; the caller still has to compare the hash.
-- @param  api_key_prefix  the key up to its secret part
-- @return Credentials | none
-- @access system
-- @shards local
-- @index  application_keys_pkey, applications_pkey
-- @cost   30
select
    a.app_id,
    k.api_key_hash,
    a.is_active,
    a.is_admin,
    a.act_as,
    request_limit(a.settings) as requests_per_minute,
    k.expires_at
from application_keys as k
inner join applications as a on a.app_id = k.app_id
where
    k.key_id = :api_key_prefix
    and (k.expires_at is null or k.expires_at > now());


-- name: find_by_id(app_id)^
-- Returns the application that a token names when tokens alone identify the caller.
-- @param  app_id  the claim `app_id`
-- @return Credentials | none
-- @access system
-- @shards local
-- @index  applications_pkey
select
    app_id,
    api_key_hash,
    is_active,
    is_admin,
    act_as,
    request_limit(settings) as requests_per_minute,
    null::timestamptz as expires_at
from applications
where app_id = :app_id;
