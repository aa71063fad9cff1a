-- name: add(actor_id, actor_app_id, action, target_type, target_id, details, address, request_id)!
-- Records what the caller did, in the transaction of the change. As the `@with` of another query it adds the same row in that
-- query's statement, for each row of its result.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  action        the operation
-- @param  target_type   the kind of the target: session, config, application, setting, user
-- @param  target_id     the target's id, or null
-- @param  details       a JSON object of whatever else identifies it
-- @param  address       address of the client, or null
-- @param  request_id    the request's id, or null
-- @return row count
-- @access system
-- @shards local
-- @index  none
insert into audit_log (user_id, app_id, action, target_type, target_id, details, address, request_id)
select
    :actor_id,
    :actor_app_id,
    :action,
    :target_type,
    :target_id,
    :details::jsonb || outcome.details,
    left(:address, 255),
    :request_id
from (select '{}'::jsonb as details) as outcome
where outcome.details is distinct from '{"changed": {}}';


-- name: list(user_id, app_id, action, target_type, since, until, before_id, limit)
-- Lists what was done, the latest first, for admin applications.
-- @param  user_id      only by this user, or null
-- @param  app_id       only through this application, or null
-- @param  action       only this operation, or null
-- @param  target_type  only to targets of this kind, or null
-- @param  since        only from this time on, or null
-- @param  until        only before this time, or null
-- @param  before_id    audit_id of the last row of the page before
-- @param  limit        rows at most
-- @return AuditEntry[]
-- @access system
-- @shards local
-- @index  audit_log_pkey
select
    audit_id,
    created_at,
    user_id,
    app_id,
    action,
    target_type,
    target_id,
    details,
    address,
    request_id
from audit_log
where
    audit_id < :before_id
    and (:user_id::text is null or user_id = :user_id)
    and (:app_id::text is null or app_id = :app_id)
    and (:action::text is null or action = :action)
    and (:target_type::text is null or target_type = :target_type)
    and (:since::timestamptz is null or created_at >= :since)
    and (:until::timestamptz is null or created_at < :until)
order by audit_id desc
limit :limit;


-- name: list_of_target(target_id, user_id, app_id, action, target_type, since, until, before_id, limit)
-- Lists what was done to one target, the latest first, for admin applications.
-- @param  target_id    its id
-- @param  user_id      only by this user, or null
-- @param  app_id       only through this application, or null
-- @param  action       only this operation, or null
-- @param  target_type  only to targets of this kind, or null
-- @param  since        only from this time on, or null
-- @param  until        only before this time, or null
-- @param  before_id    audit_id of the last row of the page before
-- @param  limit        rows at most
-- @return AuditEntry[]
-- @access system
-- @shards local
-- @index  audit_log_target_id_idx
select
    audit_id,
    created_at,
    user_id,
    app_id,
    action,
    target_type,
    target_id,
    details,
    address,
    request_id
from audit_log
where
    target_id = :target_id
    and audit_id < :before_id
    and (:user_id::text is null or user_id = :user_id)
    and (:app_id::text is null or app_id = :app_id)
    and (:action::text is null or action = :action)
    and (:target_type::text is null or target_type = :target_type)
    and (:since::timestamptz is null or created_at >= :since)
    and (:until::timestamptz is null or created_at < :until)
order by audit_id desc
limit :limit;
