set local lock_timeout = '5s';

drop trigger sessions_set_updated_at on sessions;

create trigger sessions_set_updated_at before update on sessions
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();

drop function sessions_refresh_search;

drop trigger sessions_set_search on sessions;

drop function sessions_set_search;

alter table sessions
drop column search,
drop column search_language,
drop column search_revision;

drop function session_text;

drop function search_headline;

drop function search_query_within;

drop function search_query;

drop function search_plain;

drop function search_apart;

drop function search_separators;

drop function search_language;

drop function search_revision;

drop function search_default_language;
