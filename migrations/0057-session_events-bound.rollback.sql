set local lock_timeout = '5s';

alter table session_events
drop constraint session_events_data_size_check,
drop constraint session_events_type_length_check;
