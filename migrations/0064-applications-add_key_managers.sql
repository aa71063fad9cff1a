-- depends: 0063-session_participants-refuse_export
-- Users who may replace and remove the application's keys, besides admin applications. At first there are none.
set local lock_timeout = '5s';

alter table applications
add column key_managers text[] not null default '{}',
add constraint applications_key_managers_check
check (cardinality(key_managers) <= 20 and octet_length(key_managers::text) <= 32768) not valid;
