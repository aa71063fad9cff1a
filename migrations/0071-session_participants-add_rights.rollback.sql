set local lock_timeout = '5s';

drop function may_invite;

drop function may_cancel;

drop function may_send;
