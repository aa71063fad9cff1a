set local lock_timeout = '5s';
drop view usage_by_application;
drop view usage_by_user;
drop view usage_by_day;
