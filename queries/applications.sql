-- name: find_by_prefix(api_key_prefix)^
-- The application that a presented API key may belong to; the caller still has to compare the hash.
-- @param  api_key_prefix  the key up to its secret part
-- @return Credentials | none
-- @access system
-- @index  applications_api_key_prefix_key
-- @cost   20
select
    app_id,
    api_key_hash,
    is_active,
    is_admin
from applications
where api_key_prefix = :api_key_prefix;


-- name: find_by_id(app_id)^
-- The application that a token names when tokens alone identify the caller.
-- @param  app_id  the claim `app_id`
-- @return Credentials | none
-- @access system
-- @index  applications_pkey
select
    app_id,
    api_key_hash,
    is_active,
    is_admin
from applications
where app_id = :app_id;


-- name: create(app_id, app_name, api_key_hash, api_key_prefix, is_admin, settings)^
-- A new application, for admin applications and the command line.
-- @param  app_id          its id
-- @param  app_name        its name for people
-- @param  api_key_hash    SHA-256 of its key, in hexadecimal
-- @param  api_key_prefix  the key up to its secret part
-- @param  is_admin        whether it manages the others
-- @param  settings        a JSON object
-- @return Application
-- @access system
-- @index  none
insert into applications (app_id, app_name, api_key_hash, api_key_prefix, is_admin, settings)
values (:app_id, :app_name, :api_key_hash, :api_key_prefix, :is_admin, :settings)
returning
    app_id,
    app_name,
    is_active,
    created_at,
    updated_at,
    is_admin,
    settings;


-- name: list()
-- All applications, newest first, for admin applications.
-- @return Application[]
-- @access system
-- @index  none
select
    app_id,
    app_name,
    is_active,
    created_at,
    updated_at,
    is_admin,
    settings
from applications
order by created_at desc, app_id;


-- name: list_versions(app_ids)
-- When applications changed last: streams that were opened with an earlier key end.
-- @param  app_ids  the applications
-- @return ApplicationVersion[]
-- @access system
-- @index  applications_pkey
select
    app_id,
    updated_at
from applications
where app_id = any(:app_ids::text[]);


-- name: get(app_id, reader_app_id, is_admin)^
-- One application, for itself and for admin applications.
-- @param  app_id         the application
-- @param  reader_app_id  the calling application
-- @param  is_admin       whether that is an admin application
-- @return Application | none
-- @access system
-- @index  applications_pkey
select
    app_id,
    app_name,
    is_active,
    created_at,
    updated_at,
    is_admin,
    settings
from applications
where
    app_id = :app_id
    and (app_id = :reader_app_id or :is_admin::boolean);


-- name: delete(app_id)!
-- Deletes an application; its key stops at once. For admin applications.
-- @param  app_id  the application
-- @return row count
-- @access system
-- @index  applications_pkey
delete from applications
where app_id = :app_id;


-- name: update_key(app_id, reader_app_id, is_admin, api_key_hash, api_key_prefix)^
-- Gives an application another key; the old one stops at once. For itself and for admin applications.
-- @param  app_id          the application
-- @param  reader_app_id   the calling application
-- @param  is_admin        whether that is an admin application
-- @param  api_key_hash    SHA-256 of the new key, in hexadecimal
-- @param  api_key_prefix  the new key up to its secret part
-- @return Application | none
-- @access system
-- @index  applications_pkey
update applications
set
    api_key_hash = :api_key_hash,
    api_key_prefix = :api_key_prefix
where
    app_id = :app_id
    and (app_id = :reader_app_id or :is_admin::boolean)
returning
    app_id,
    app_name,
    is_active,
    created_at,
    updated_at,
    is_admin,
    settings;
