set local lock_timeout = '5s';

drop function refuse_value;
