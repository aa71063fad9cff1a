-- Afterwards every user of an application may replace its keys again.
set local lock_timeout = '5s';

alter table applications
drop constraint applications_key_managers_check,
drop column key_managers;
