-- depends: 0060-stream_tickets-bound
-- An id has 255 characters at most, as in every table.
set local lock_timeout = '5s';

alter table streams
add constraint streams_stream_id_length_check check (greatest(length(stream_id), length(process_id), length(session_id), length(user_id)) <= 255) not valid;
