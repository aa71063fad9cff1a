set local lock_timeout = '5s';
drop table applications;
drop function announce_application();
drop function set_updated_at();
