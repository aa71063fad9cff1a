set local lock_timeout = '5s';
drop view session_transcripts;
drop table messages;
