-- Which version a config has is lost.
set local lock_timeout = '5s';

alter table configs
drop column version;
