set local lock_timeout = '5s';

drop function messages_replace(text, bigint[], jsonb[]);

drop function messages_by_key(text, text[]);

alter table messages drop column key;

comment on table messages is 'Transcripts, one row per message. The service only adds rows; a repair gives them higher numbers with messages_move. Rows inserted by hand are streamed and searched like others.';
