-- depends: 0070-sessions-bound_ids
-- What a participant may do: the role decides, and `permissions` overrides it. Queries call these functions, so that an edit of `queries/`
-- cannot change the rules. PostgreSQL puts the body in place of each call when it plans, and the plans are those of the written-out
-- expression. It could not if a function were strict, had a `set`, or used an argument twice. They are parallel safe because a plan's
-- parallel safety is decided before calls are replaced.
set local lock_timeout = '5s';

-- Appends to the transcript, sends messages to the agent and answers it.
create function may_send(role text, permissions jsonb) returns boolean
language sql immutable parallel safe
return coalesce((permissions ->> 'send')::boolean, role in ('owner', 'editor'));

-- Stops the agent.
create function may_cancel(role text, permissions jsonb) returns boolean
language sql immutable parallel safe
return coalesce((permissions ->> 'cancel')::boolean, role in ('owner', 'editor'));

-- Adds people, up to one's own role.
create function may_invite(role text, permissions jsonb) returns boolean
language sql immutable parallel safe
return coalesce((permissions ->> 'invite')::boolean, role = 'owner');
