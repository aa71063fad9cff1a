set local lock_timeout = '5s';

drop function search_headline;

-- allow renaming-object: the function goes back to its former name
alter function search_fragments rename to search_headline;
