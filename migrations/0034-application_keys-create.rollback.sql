-- All keys but the default ones are lost.
set local lock_timeout = '5s';

drop trigger applications_keep_default_key on applications;
drop function keep_default_key;
drop table application_keys;
