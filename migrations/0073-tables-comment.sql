-- depends: 0072-messages-add_search_matches
-- Says of every table, view and column what it holds, in which unit, and what writes it: psql shows it with \d+. A comment takes a lock
-- that readers and writers do not wait for (share update exclusive); it waits for a vacuum of the table.
set local lock_timeout = '5s';

comment on table applications is 'Applications, which call the API with a key. Written by the service and by `amplifier-api applications`; processes forget the keys of a changed row at once.';
comment on column applications.app_id is 'Name of the application, chosen by the admin that registered it: a-z, 0-9 and `-`';
comment on column applications.app_name is 'Name for people';
comment on column applications.api_key_hash is 'SHA-256 of the key named `default`, in hexadecimal; a trigger copies it to application_keys';
comment on column applications.api_key_prefix is 'First characters of the key named `default`, which find its row among all keys; not secret';
comment on column applications.is_active is 'False while the application is disabled: its keys get 401, its streams end';
comment on column applications.is_admin is 'True for applications that may manage the others, settings and the audit log';
comment on column applications.settings is 'Settings of the application, a JSON object of at most 64 kB. The service reads `rate_limit_requests_per_minute`';
comment on column applications.created_at is 'Time of the registration';
comment on column applications.updated_at is 'Time of the last change, kept by a trigger';
comment on column applications.key_managers is 'user_ids of those who may replace and remove the keys, besides admin applications';

comment on table application_keys is 'Keys of applications, several for each. Written by the service; a trigger of applications writes the key named `default`.';
comment on column application_keys.app_id is 'The application';
comment on column application_keys.key_id is 'First characters of the key, which find its row; not secret';
comment on column application_keys.name is 'Name of the key, unique in its application';
comment on column application_keys.api_key_hash is 'SHA-256 of the key, in hexadecimal; the key itself is not stored';
comment on column application_keys.created_at is 'Time when the key was made, or last replaced';
comment on column application_keys.expires_at is 'Time from which the key is refused, null for never';
comment on column application_keys.last_used_at is 'Time of the last request with the key, at most a minute late; null until then';

comment on table audit_log is 'Changes that were made through the service, one row per request. Rows are only added, in the transaction of the change; the owner of the database deletes old ones.';
comment on column audit_log.audit_id is 'Number of the entry, in the order of insertion, with gaps';
comment on column audit_log.created_at is 'Time when the transaction of the change began';
comment on column audit_log.user_id is 'The user that made the change';
comment on column audit_log.app_id is 'The application that the change was made through';
comment on column audit_log.action is 'The operation, by its operation_id in the OpenAPI document, such as `delete_session`';
comment on column audit_log.target_type is 'Kind of what was changed: session, config, application, setting or user';
comment on column audit_log.target_id is 'Its id, null if the operation has no single target';
comment on column audit_log.details is 'Whatever else identifies the target or the change, a JSON object without secrets';
comment on column audit_log.address is 'IP address of the client, or of the proxy if FORWARDED_ALLOW_IPS does not name it';
comment on column audit_log.request_id is 'The X-Request-ID of the request, as in the log';

comment on table config_versions is 'Former versions of configs. A trigger of configs writes them, also after a change by hand; the service adds and reads them only.';
comment on column config_versions.config_id is 'The config';
comment on column config_versions.version is 'Number of the version, from 1';
comment on column config_versions.name is 'The name that the config had';
comment on column config_versions.description is 'The description that the config had';
comment on column config_versions.config_json is 'The config_json that the config had, with secrets encrypted as they were stored';
comment on column config_versions.tags is 'The tags that the config had';
comment on column config_versions.created_at is 'Time since which the config was in this version: its updated_at of then';

comment on table configs is 'Configs of agents. Written by the service for their owners.';
comment on column configs.config_id is 'Id of the config, a uuid if the service made it';
comment on column configs.name is 'Name for people';
comment on column configs.description is 'Text of at most 10,000 characters, or null';
comment on column configs.config_json is 'The config, a JSON object of at most 1 MB: `bundle`, `providers`, `tools` and more. Secrets are encrypted (`enc:...`) if CONFIG_ENCRYPTION_KEY was set';
comment on column configs.user_id is 'The owner, the only user that sees the config; null for a copy that belongs to a session whose owner changed';
comment on column configs.tags is 'Tags, a JSON object of texts';
comment on column configs.created_at is 'Time when the config was made';
comment on column configs.updated_at is 'Time of the last change, kept by a trigger';
comment on column configs.version is 'Number of the present version, from 1; a trigger counts it up. It is the ETag';
comment on column configs.copied_from_config_id is 'For a copy that belongs to a session: the config that it was copied from, for whose id the secrets are encrypted. Else null';

comment on table configuration is 'Settings of the deployment that applications share. Written by the service for admin applications, and not read by it.';
comment on column configuration.key is 'Name of the setting';
comment on column configuration.value is 'Value, any JSON of at most 64 kB';
comment on column configuration.scope is 'Scope that the writer gave, by default `global`';
comment on column configuration.updated_at is 'Time of the last change, kept by a trigger';

comment on table idempotency_keys is 'Answers to requests with an Idempotency-Key, which repeated requests get again. Written by the service in the transaction of the change; deleted after 24 hours.';
comment on column idempotency_keys.app_id is 'The application of the caller';
comment on column idempotency_keys.user_id is 'The caller';
comment on column idempotency_keys.key_hash is 'SHA-256 of the caller and the key, in hexadecimal';
comment on column idempotency_keys.request_hash is 'SHA-256 of the request, in hexadecimal: the key is refused for another request';
comment on column idempotency_keys.status is 'Status of the answer';
comment on column idempotency_keys.response is 'Body of the answer, encrypted';
comment on column idempotency_keys.etag is 'ETag of the answer, or null';
comment on column idempotency_keys.created_at is 'Time when the answer was stored';
comment on column idempotency_keys.session_ids is 'Sessions that the answer shows and its caller saw. It is given again only while the caller sees all of them';
comment on column idempotency_keys.config_ids is 'Configs, likewise';
comment on column idempotency_keys.app_ids is 'Applications, likewise';

comment on table messages is 'Transcripts, one row per message. The service only adds rows; a repair gives them higher numbers with messages_move. Rows inserted by hand are streamed and searched like others.';
comment on column messages.session_id is 'The session';
comment on column messages.seq is 'Number on the clock of the session, shared with session_events: ascending in the order of commits. If left out by hand, the next one';
comment on column messages.message is 'The message as the client or the agent sent it, a JSON object of at most 16 MB with `role` and usually `content`';
comment on column messages.role is 'Role in the message, derived: system, developer, user, assistant, function or tool';
comment on column messages.size is 'Length of the message as text, in bytes, derived';
comment on column messages.author_user_id is 'The user that added the message, or in whose name the agent did';
comment on column messages.author_app_id is 'The application that the message was added through';
comment on column messages.created_at is 'Time of the statement that added the message';
comment on column messages.search is 'Words of the message by weight: A said, B tools called, C tools returned, D thought. A trigger derives it from the message';
comment on column messages.search_truncated is 'True if the message has more words than search holds: the first 100,000 characters count';
comment on column messages.search_revision is 'Language and version of the functions that search was made with. Set it to null to index the row again';

comment on table notification_keys is 'One row with the keys that sign notifications between processes. Made by a migration; update the row to replace them.';
comment on column notification_keys.single is 'Always true: there is one row only';
comment on column notification_keys.inner_key is 'First secret key, 64 random bytes';
comment on column notification_keys.outer_key is 'Second secret key, 64 random bytes';

comment on table rate_limits is 'Used parts of rate limits, one row per user of an application. Written by the service, deleted when nothing is used. Unlogged: empty after a crash of PostgreSQL, so that all limits begin anew.';
comment on column rate_limits.app_id is 'The application';
comment on column rate_limits.user_id is 'The user';
comment on column rate_limits.granted is 'Requests that the last statement granted to a process';
comment on column rate_limits.full_at is 'Time from which the whole limit may be used again, unless further requests come';

comment on table run_approvals is 'Questions that runs ask people before they continue, with the answers. Written by the service.';
comment on column run_approvals.session_id is 'The session';
comment on column run_approvals.approval_id is 'Id of the question';
comment on column run_approvals.run_id is 'The run that waits for the answer';
comment on column run_approvals.prompt is 'The question, at most 10,000 characters';
comment on column run_approvals.options is 'The answers to choose from, 1 to 20';
comment on column run_approvals.requested_at is 'Time when the question was asked';
comment on column run_approvals.expires_at is 'Time from which nobody can answer any more';
comment on column run_approvals.granted is 'True if the run may continue, false if not; null until somebody answers or the time is over';
comment on column run_approvals.decision is 'The chosen option, or null';
comment on column run_approvals.decided_by_user_id is 'The user that answered, or null';
comment on column run_approvals.decided_at is 'Time of the answer, or null';

comment on table runs is 'Runs of agents, one row per message that an agent has to answer. Written by the service. One run of a session is running at a time.';
comment on column runs.session_id is 'The session';
comment on column runs.run_id is 'Id of the run';
comment on column runs.status is 'State: queued, running, completed, failed or cancelled';
comment on column runs.message is 'The message to answer, a JSON object. It is a row of messages from the start of the run';
comment on column runs.user_id is 'The user that sent the message';
comment on column runs.app_id is 'The application that the message was sent through';
comment on column runs.queued_at is 'Time when the message arrived';
comment on column runs.started_at is 'Time when the run started, null before';
comment on column runs.finished_at is 'Time when the run ended, null before';
comment on column runs.response is 'Text that the agent answered, or null';
comment on column runs.error is 'Reason why the run failed, a JSON object without secrets; null for other runs';
comment on column runs.usage is 'Numbers of model calls, tool calls and tokens, a JSON object';
comment on column runs.timing is 'Seconds that models and tools took, a JSON object';
comment on column runs.cancelled_by_user_id is 'The user that cancelled the run, or null';
comment on column runs.process_id is 'The process that executes the run, null for queued runs';
comment on column runs.lease_expires_at is 'Time until which this process must renew its lease. After it, another process ends the run';

comment on table searches is 'Numbers of searches, one row per user, application, day and kind, without their words. Every process adds its own once a minute.';
comment on column searches.user_id is 'The user';
comment on column searches.app_id is 'The application';
comment on column searches.day is 'Day in UTC';
comment on column searches.kind is '`messages` for searches of messages, `sessions` for searches for sessions';
comment on column searches.searches is 'Number of searches; further pages do not count';
comment on column searches.unsuccessful is 'Number of those that found nothing';
comment on column searches.cancelled is 'Number of those that took longer than SEARCH_TIMEOUT';
comment on column searches.seconds is 'Time of all together, in seconds';

comment on table session_events is 'Events of sessions: everything that happened besides messages. The service only adds rows, in the statement of the change.';
comment on column session_events.session_id is 'The session';
comment on column session_events.seq is 'Number on the clock of the session, shared with messages';
comment on column session_events.type is 'Type of the event, such as `participant.joined`';
comment on column session_events.data is 'Data of the event, a JSON object of at most 8,192 bytes; a trigger replaces large members by their names in `changed`';
comment on column session_events.actor_user_id is 'The user that caused the event, null for the service itself';
comment on column session_events.created_at is 'Time of the statement that added the event';

comment on table session_invitations is 'Invitations to sessions for people whose user_id is not known. Written by the service.';
comment on column session_invitations.session_id is 'The session';
comment on column session_invitations.invitation_id is 'Id of the invitation; not secret';
comment on column session_invitations.seq is 'The session''s last_seq when the invitation was made: it admits nobody who was removed after that';
comment on column session_invitations.token_hash is 'SHA-256 of the token that admits, in hexadecimal; the token itself is not stored';
comment on column session_invitations.role is 'Role of those who join: owner, editor or viewer';
comment on column session_invitations.max_uses is 'Number of people that it admits';
comment on column session_invitations.uses is 'Number of people that it has admitted';
comment on column session_invitations.created_by_user_id is 'The user that made the invitation';
comment on column session_invitations.created_at is 'Time when the invitation was made';
comment on column session_invitations.expires_at is 'Time from which it admits nobody';
comment on column session_invitations.revoked_at is 'Time when it was revoked, or null';

comment on table session_participants is 'Participants of sessions with their roles. Every query that serves a user joins this table. Written by the service.';
comment on column session_participants.session_id is 'The session';
comment on column session_participants.user_id is 'The participant';
comment on column session_participants.role is 'owner, editor or viewer';
comment on column session_participants.joined_at is 'Time when the participant joined';
comment on column session_participants.last_active_at is 'Time of the last request in the session, at most a minute late';
comment on column session_participants.permissions is 'Rights that differ from the role, a JSON object of booleans: `send`, `cancel`, `invite`';
comment on column session_participants.last_read_seq is 'Number up to which the participant has read, set by clients; 0 for never';

comment on table sessions is 'Sessions, each with its clock `last_seq`. Written by the service; messages and events by hand move the clock by triggers.';
comment on column sessions.session_id is 'Id of the session, a uuid if the service made it';
comment on column sessions.config_id is 'The config that the agent runs with';
comment on column sessions.owner_user_id is 'The user that owns the session; a participant of the role owner';
comment on column sessions.created_by_app_id is 'The application that the session was made through';
comment on column sessions.last_accessed_by_app_id is 'The application of the last change, or null';
comment on column sessions.last_accessed_at is 'Time of the last change through the service, or null';
comment on column sessions.status is 'active, completed, failed or cancelled; an agent runs in active sessions only';
comment on column sessions.title is 'Title for people, at most 255 characters, or null';
comment on column sessions.tags is 'Tags, a JSON object of texts';
comment on column sessions.metadata is 'Data of the client, a JSON object of at most 64 kB. `language` chooses the language of the search';
comment on column sessions.message_count is 'Number of messages with the role user';
comment on column sessions.last_seq is 'Clock: number of the last message or event, 0 for none. Also the ETag';
comment on column sessions.created_at is 'Time when the session was made';
comment on column sessions.updated_at is 'Time of the last change or message, kept by statements or a trigger';
comment on column sessions.search is 'Words of title and tags. A trigger derives it';
comment on column sessions.search_language is 'Text search configuration of the session''s messages; null for the default of the database';
comment on column sessions.search_revision is 'Language and version of the functions that search was made with. Set it to null to index the row again';
comment on column sessions.config_version is 'Version of the config when the session was made; null for older sessions';
comment on column sessions.forked_from_session_id is 'The session that this one was copied from, which may be gone; else null';
comment on column sessions.forked_at_seq is 'Number up to which that session was copied; else null';

comment on table stream_tickets is 'Tickets that open one stream within 30 seconds, for clients that cannot send headers. Written by the service; deleted when used or expired.';
comment on column stream_tickets.ticket_hash is 'SHA-256 of the ticket, in hexadecimal; the ticket itself is not stored';
comment on column stream_tickets.session_id is 'The session whose stream it opens; null for a stream of hints about all sessions';
comment on column stream_tickets.user_id is 'The user that follows the stream';
comment on column stream_tickets.app_id is 'The application that the ticket was made through';
comment on column stream_tickets.token_expires_at is 'Time when the caller''s credentials expire, and the stream ends';
comment on column stream_tickets.expires_at is 'Time from which the ticket opens nothing';

comment on table streams is 'Streams that are open now, in any process. Processes touch their rows every few seconds; older ones belong to a process that died. Unlogged: empty after a crash of PostgreSQL, then written again.';
comment on column streams.stream_id is 'Id of the stream';
comment on column streams.process_id is 'The process that serves it';
comment on column streams.session_id is 'The session; null for a stream of hints about all sessions';
comment on column streams.user_id is 'The user that follows it';
comment on column streams.opened_at is 'Time when the stream was opened';
comment on column streams.seen_at is 'Time when the process last touched the row';

comment on table users is 'Users, as tokens name them. Written by the service with the first request; no other table refers to them.';
comment on column users.user_id is 'Name of the user: the `sub` of the tokens';
comment on column users.first_seen is 'Time of the first request';
comment on column users.last_seen is 'Time of the last request, at most a minute late';
comment on column users.last_seen_app_id is 'The application of the last request';
comment on column users.total_sessions is 'Number of sessions that the user has made, deleted ones included';
comment on column users.metadata is 'Data about the user, a JSON object of at most 64 kB, not written by the service';

comment on view search_activity is 'Searches per day (UTC), user, application and kind, without their words. Up to a minute late.';
comment on column search_activity.day is 'Day in UTC';
comment on column search_activity.user_id is 'The user that searched';
comment on column search_activity.app_id is 'The application that the user searched through';
comment on column search_activity.kind is '`messages` (GET /search and in a session) or `sessions` (GET /sessions?q=)';
comment on column search_activity.searches is 'Number of searches; further pages do not count';
comment on column search_activity.unsuccessful is 'Number of those that found nothing';
comment on column search_activity.cancelled is 'Number of those that took longer than SEARCH_TIMEOUT';
comment on column search_activity.seconds is 'Time of all together, in seconds';

comment on view session_transcripts is 'Whole transcripts, one row per session. Select single sessions: each transcript is put together when it is read.';
comment on column session_transcripts.session_id is 'The session, also if it has no messages';
comment on column session_transcripts.last_seq is 'Number of its last message or event';
comment on column session_transcripts.transcript is 'All messages, a JSON array in the order of their numbers';

comment on view usage_by_application is 'Messages added through each application, in sessions that still exist. Reads all messages.';
comment on column usage_by_application.app_id is 'The application';
comment on column usage_by_application.users is 'Number of users that added messages';
comment on column usage_by_application.sessions is 'Number of sessions with these messages';
comment on column usage_by_application.messages is 'Number of messages, of any role';
comment on column usage_by_application.bytes is 'Length of the messages as JSON text, in bytes';
comment on column usage_by_application.first_at is 'Time of the first message';
comment on column usage_by_application.last_at is 'Time of the last message';

comment on view usage_by_day is 'Messages added per day (UTC), user and application, in sessions that still exist. Reads all messages.';
comment on column usage_by_day.day is 'Day in UTC';
comment on column usage_by_day.user_id is 'The user that added the messages';
comment on column usage_by_day.app_id is 'The application that they were added through';
comment on column usage_by_day.sessions is 'Number of sessions with these messages';
comment on column usage_by_day.messages is 'Number of messages, of any role';
comment on column usage_by_day.bytes is 'Length of the messages as JSON text, in bytes';

comment on view usage_by_user is 'Messages added by each user, in sessions that still exist. Reads all messages.';
comment on column usage_by_user.user_id is 'The user that added the messages';
comment on column usage_by_user.sessions is 'Number of sessions with these messages';
comment on column usage_by_user.messages is 'Number of messages, of any role';
comment on column usage_by_user.bytes is 'Length of the messages as JSON text, in bytes';
comment on column usage_by_user.first_at is 'Time of the first message';
comment on column usage_by_user.last_at is 'Time of the last message';
