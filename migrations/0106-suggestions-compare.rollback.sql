set local lock_timeout = '5s';

drop function search_distance;
