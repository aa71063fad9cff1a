-- depends: 0026-messages-comment_views
-- The number of a config's present version, its ETag: whoever changes a config moves it.
set local lock_timeout = '5s';

alter table configs
add column version bigint not null default 1;
