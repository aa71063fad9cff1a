set local lock_timeout = '5s';

drop function states_patch(text, text, text, jsonb);

drop function states_read(text, text, text);

drop function states_lock(text, text, boolean, boolean);

drop trigger applications_drop_states on applications;

drop function applications_drop_states();

drop table application_states;

drop table user_states;

drop table session_states;
