set local lock_timeout = '5s';

drop function messages_refresh_search;

drop function search_estimate;

drop trigger messages_set_search on messages;

drop function messages_set_search;

alter table messages
drop column search,
drop column search_truncated,
drop column search_revision;

drop function message_tools;

drop function message_search;

drop function message_texts;

drop function json_text_values;

drop function json_texts;

drop function json_values;

drop function json_string;
