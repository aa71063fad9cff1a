-- depends: 0023-messages-number_by_hand
-- How much is searched, by whom and with what success, one row a day: never what for. Processes add to it once a minute.
set local lock_timeout = '5s';

create table searches (
    user_id text collate "C" not null,
    app_id text collate "C" not null,
    day date not null,
    kind text not null,
    searches bigint not null,
    unsuccessful bigint not null,
    cancelled bigint not null,
    seconds double precision not null,
    constraint searches_pkey primary key (user_id, app_id, day, kind),
    constraint searches_kind_check check (kind in ('messages', 'sessions'))
);

grant select, insert, update on searches to amplifier_app;

create view search_activity as
select
    day,
    user_id,
    app_id,
    kind,
    searches,
    unsuccessful,
    cancelled,
    seconds
from searches;

comment on view search_activity is
'Searches of a user through an application on a day (UTC), without what was searched for. Up to a minute behind.';

comment on column search_activity.kind is 'messages (GET /search and below a session) or sessions (GET /sessions?q=)';

comment on column search_activity.searches is 'how many; further pages of one do not count';

comment on column search_activity.unsuccessful is 'those that found nothing';

comment on column search_activity.cancelled is 'those that took longer than SEARCH_TIMEOUT';

comment on column search_activity.seconds is 'that all of them took together';

grant select on search_activity to amplifier_readonly;
