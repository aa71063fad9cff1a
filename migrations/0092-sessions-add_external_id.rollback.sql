-- Keys are lost, and so are sessions without a config.
set local lock_timeout = '5s';

comment on column sessions.config_id is 'The config that the agent runs with';

drop trigger sessions_drop_former_config on sessions;

drop trigger sessions_external_id_check on sessions;

-- allow rows: the previous schema has no place for them
delete from sessions
where config_id is null;

-- allow adding-not-nullable-field: as it was
alter table sessions
drop column external_id,
alter column config_id set not null;
