-- depends: 0024-searches-create
-- What people and applications add, for analysts. Each view reads all messages, or those of the days that are asked for.
set local lock_timeout = '5s';

create view usage_by_day as
select
    (created_at at time zone 'UTC')::date as day,
    author_user_id as user_id,
    author_app_id as app_id,
    count(distinct session_id) as sessions,
    count(*) as messages,
    sum(size)::bigint as bytes
from messages
group by
    1,
    author_user_id,
    author_app_id;

create view usage_by_user as
select
    author_user_id as user_id,
    count(distinct session_id) as sessions,
    count(*) as messages,
    sum(size)::bigint as bytes,
    min(created_at) as first_at,
    max(created_at) as last_at
from messages
group by author_user_id;

create view usage_by_application as
select
    author_app_id as app_id,
    count(distinct author_user_id) as users,
    count(distinct session_id) as sessions,
    count(*) as messages,
    sum(size)::bigint as bytes,
    min(created_at) as first_at,
    max(created_at) as last_at
from messages
group by author_app_id;

comment on view usage_by_day is 'Messages that a user added through an application on a day (UTC), in sessions that still exist.';

comment on column usage_by_day.sessions is 'how many sessions they are in';

comment on column usage_by_day.bytes is 'of message text, as JSON';

comment on view usage_by_user is 'Messages that a user added, through any application, in sessions that still exist.';

comment on column usage_by_user.bytes is 'of message text, as JSON';

comment on view usage_by_application is 'Messages that were added through an application, in sessions that still exist.';

comment on column usage_by_application.users is 'how many people added them';

comment on column usage_by_application.bytes is 'of message text, as JSON';

grant select on usage_by_day, usage_by_user, usage_by_application to amplifier_readonly;
