-- depends: 0056-searches-bound
-- Rows are only added. An event of a large change names the fields instead of carrying them.
set local lock_timeout = '5s';

alter table session_events
add constraint session_events_type_length_check check (greatest(length(type), length(actor_user_id)) <= 255) not valid,
add constraint session_events_data_size_check check (octet_length(data::text) <= 65536) not valid;
