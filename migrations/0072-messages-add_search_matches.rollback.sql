set local lock_timeout = '5s';

drop function search_matches;

drop function search_queries;
