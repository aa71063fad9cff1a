-- name: create(app_id, app_name, api_key_hash, api_key_prefix, is_admin, settings, key_managers, act_as)^
-- Creates an application, for admin applications and the command line.
-- @param  app_id          its id
-- @param  app_name        its name for people
-- @param  api_key_hash    SHA-256 of its key, in hexadecimal
-- @param  api_key_prefix  the key up to its secret part
-- @param  is_admin        whether it manages the others
-- @param  settings        a JSON object
-- @param  key_managers    user_ids of users who may replace and remove its keys
-- @param  act_as          whether its keys may act for users without their tokens
-- @return Application
-- @access system
-- @shards local
-- @with   audit.add
-- @index  none
insert into applications (app_id, app_name, api_key_hash, api_key_prefix, is_admin, settings, key_managers, act_as)
values (:app_id, :app_name, :api_key_hash, :api_key_prefix, :is_admin, :settings, :key_managers, :act_as)
returning
    app_id,
    app_name,
    is_active,
    created_at,
    updated_at,
    is_admin,
    settings,
    key_managers,
    act_as;


-- name: list(after_created_at, after_app_id, limit)
-- All applications, newest first, for admin applications.
-- @param  after_created_at  position of the last row of the page before
-- @param  after_app_id      the same
-- @param  limit             rows at most
-- @return Application[]
-- @access system
-- @shards local
-- @index  none
select
    app_id,
    app_name,
    is_active,
    created_at,
    updated_at,
    is_admin,
    settings,
    key_managers,
    act_as
from applications
where (created_at, app_id) < (:after_created_at, :after_app_id::text)
order by created_at desc, app_id desc
limit :limit;


-- name: list_versions(app_ids)
-- Returns when applications changed last: streams that were opened with an earlier key end.
-- @param  app_ids  the applications
-- @return ApplicationVersion[]
-- @access system
-- @shards local
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
-- @shards local
-- @index  applications_pkey
select
    app_id,
    app_name,
    is_active,
    created_at,
    updated_at,
    is_admin,
    settings,
    key_managers,
    act_as
from applications
where
    app_id = :app_id
    and (app_id = :reader_app_id or :is_admin::boolean);


-- name: delete(app_id)!
-- Deletes an application; its key stops at once. For admin applications.
-- @param  app_id  the application
-- @return row count
-- @access system
-- @shards local
-- @with   audit.add
-- @index  applications_pkey
delete from applications
where app_id = :app_id;


-- name: update_key(actor_id, app_id, reader_app_id, is_admin, api_key_hash, api_key_prefix)^
-- Gives an application another key; the old one stops at once. For its key managers and for admin applications.
-- @param  actor_id        user_id of the caller
-- @param  app_id          the application
-- @param  reader_app_id   the calling application
-- @param  is_admin        whether that is an admin application
-- @param  api_key_hash    SHA-256 of the new key, in hexadecimal
-- @param  api_key_prefix  the new key up to its secret part
-- @return Application | none
-- @access system
-- @shards local
-- @with   audit.add
-- @index  applications_pkey
update applications
set
    api_key_hash = :api_key_hash,
    api_key_prefix = :api_key_prefix
where
    app_id = :app_id
    and ((app_id = :reader_app_id and :actor_id = any(key_managers)) or :is_admin::boolean)
returning
    app_id,
    app_name,
    is_active,
    created_at,
    updated_at,
    is_admin,
    settings,
    key_managers,
    act_as;


-- name: update(app_id, app_name, is_active, settings, key_managers, act_as)^
-- Changes an application; null leaves a value as it is. Without a difference the row stays as it is. For admin applications.
-- @param  app_id        the application
-- @param  app_name      new name or null
-- @param  is_active     false: its keys and tokens stop at once; true: they count again; or null
-- @param  settings      new settings or null
-- @param  key_managers  new key managers or null
-- @param  act_as        whether its keys may act for users without their tokens, or null
-- @return ApplicationChange | none
-- @access system
-- @shards local
-- @with   audit.add: jsonb_build_object('changed', changes) as details
-- @index  applications_pkey
with locked_application as (
    select *
    from applications
    where app_id = :app_id
    for no key update
),

changes as (
    select
        coalesce(
            jsonb_object_agg(
                f.name,
                case when f.name = 'settings' then '{}' else jsonb_build_object('old', f.former, 'new', f.value) end
            ) filter (where f.value <> f.former),
            '{}'
        ) as data
    from locked_application as a
    cross join lateral (
        values
        ('app_name', to_jsonb(coalesce(:app_name::text, a.app_name)), to_jsonb(a.app_name)),
        ('is_active', to_jsonb(coalesce(:is_active::boolean, a.is_active)), to_jsonb(a.is_active)),
        ('settings', coalesce(:settings::jsonb, a.settings), a.settings),
        ('key_managers', to_jsonb(coalesce(:key_managers::text[], a.key_managers)), to_jsonb(a.key_managers)),
        ('act_as', to_jsonb(coalesce(:act_as::boolean, a.act_as)), to_jsonb(a.act_as))
    ) as f (name, value, former)
),

changed_application as (
    update applications as a
    set
        app_name = coalesce(:app_name::text, a.app_name),
        is_active = coalesce(:is_active::boolean, a.is_active),
        settings = coalesce(:settings::jsonb, a.settings),
        key_managers = coalesce(:key_managers::text[], a.key_managers),
        act_as = coalesce(:act_as::boolean, a.act_as)
    from locked_application as l
    inner join changes as c on c.data <> '{}'
    where
        a.app_id = :app_id
        and l.app_id = a.app_id
    returning a.*
),

result as (
    select * from changed_application
    union all
    select * from locked_application
    where not exists (select from changed_application)
)

select
    a.app_id,
    a.app_name,
    a.is_active,
    a.created_at,
    a.updated_at,
    a.is_admin,
    a.settings,
    a.key_managers,
    a.act_as,
    c.data as changes
from result as a
cross join changes as c;


-- name: lock(actor_id, app_id, reader_app_id, is_admin)!
-- Locks an application for changes to its keys, one after the other. For its key managers and for admin applications.
-- @param  actor_id       user_id of the caller
-- @param  app_id         the application
-- @param  reader_app_id  the calling application
-- @param  is_admin       whether that is an admin application
-- @return row count
-- @access system
-- @shards local
-- @index  applications_pkey
select
from applications
where
    app_id = :app_id
    and ((app_id = :reader_app_id and :actor_id = any(key_managers)) or :is_admin::boolean)
for no key update;
