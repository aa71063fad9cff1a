set local lock_timeout = '5s';

drop trigger session_events_bound_data on session_events;

drop function bound_event();

drop function bounded_event(jsonb);
