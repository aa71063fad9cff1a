set local lock_timeout = '5s';

drop function search_score;

drop function search_spelling;
