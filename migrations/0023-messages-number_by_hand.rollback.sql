set local lock_timeout = '5s';

drop trigger messages_take_number_by_hand on messages;

drop trigger messages_advance_clock_by_hand on messages;

drop trigger session_events_take_number_by_hand on session_events;

drop trigger session_events_advance_clock_by_hand on session_events;

drop function take_number_by_hand();

drop function advance_clock_by_hand();
