set local lock_timeout = '5s';
drop view search_activity;
drop table searches;
