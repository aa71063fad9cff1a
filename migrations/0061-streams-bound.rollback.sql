set local lock_timeout = '5s';

alter table streams
drop constraint streams_stream_id_length_check;
