-- The messages that were taken back are deleted, not put back into their transcripts.
set local lock_timeout = '5s';

comment on table messages is 'Transcripts, one row per message. The service only adds rows; a repair gives them higher numbers with messages_move, and messages_replace replaces those that have a key. Rows inserted by hand are streamed and searched like others.';

drop function messages_erase(text, bigint[]);

drop function messages_retract(text, bigint[], bigint, text, text, boolean);

drop function messages_choose(text, bigint[], bigint, bigint, bigint);

drop table retracted_messages;
