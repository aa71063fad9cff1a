-- depends: 0025-messages-create_usage_views
-- Says of every column of the views what it is, and in which unit: psql shows it with \d+. A day as a condition of usage_by_day
-- makes fewer rows, but all messages are read for it all the same: there is no index by time, which every append would pay for.
set local lock_timeout = '5s';

comment on column usage_by_day.day is 'in UTC';

comment on column usage_by_day.user_id is 'who added the messages';

comment on column usage_by_day.app_id is 'the application that they were added through';

comment on column usage_by_day.messages is 'how many, of any role';

comment on column usage_by_user.user_id is 'who added the messages';

comment on column usage_by_user.sessions is 'how many sessions they are in';

comment on column usage_by_user.messages is 'how many, of any role';

comment on column usage_by_user.first_at is 'when the first of them was added';

comment on column usage_by_user.last_at is 'when the last of them was added';

comment on column usage_by_application.app_id is 'the application that the messages were added through';

comment on column usage_by_application.sessions is 'how many sessions they are in';

comment on column usage_by_application.messages is 'how many, of any role';

comment on column usage_by_application.first_at is 'when the first of them was added';

comment on column usage_by_application.last_at is 'when the last of them was added';

comment on column search_activity.day is 'in UTC';

comment on column search_activity.user_id is 'who searched';

comment on column search_activity.app_id is 'the application that was searched through';

comment on view session_transcripts is 'A session''s whole transcript. Ask for single sessions: each is put together when it is read.';

comment on column session_transcripts.session_id is 'the session, also without messages';

comment on column session_transcripts.last_seq is 'the number of its last message or event';

comment on column session_transcripts.transcript is 'all messages, a JSON array in order of their numbers';
