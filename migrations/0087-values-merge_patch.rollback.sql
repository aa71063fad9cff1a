set local lock_timeout = '5s';

drop function merge_patch;
