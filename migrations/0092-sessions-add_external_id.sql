-- depends: 0091-retracted_messages-create
-- A session may have a key of the caller's, `external_id`, unique per application and owner (0093), and needs no config while it only
-- records. The bounds are triggers, so that appends do not evaluate them. 512 characters of three bytes fit into an index entry beside
-- the longest ids; more bytes do not.
set local lock_timeout = '5s';

-- allow ban-drop-not-null: clients of the previous release see null only in sessions that clients of this one made so
alter table sessions
add column external_id text collate "C",
alter column config_id drop not null;

create trigger sessions_external_id_check before insert or update of external_id on sessions
for each row when (
    length(new.external_id) not between 1 and 512
    or octet_length(new.external_id) > 1536
    or new.external_id ~ '[\u0001-\u001F\u007F-\u009F]'
    or new.external_id in ('.', '..')
)
execute function refuse_value('external_id');

-- A session that gets another config drops the copy that was made for it.
create trigger sessions_drop_former_config after update of config_id on sessions
for each row when (new.config_id is distinct from old.config_id) execute function sessions_drop_config();

comment on column sessions.config_id is 'The config that the agent runs with, or null for a session that only records';
comment on column sessions.external_id is 'Key that the caller chose, unique per application and owner, or null';
