-- depends: 0059-sessions-bound
-- An id has 255 characters at most, as in every table.
set local lock_timeout = '5s';

alter table stream_tickets
add constraint stream_tickets_user_id_length_check check (greatest(length(ticket_hash), length(user_id), length(app_id)) <= 255) not valid;
