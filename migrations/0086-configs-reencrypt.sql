-- depends: 0085-runs-add_traceparent
-- `amplifier-api configs reencrypt` encrypts secrets again under another key. That is no change of a config: it makes no
-- version, and `updated_at` stays. The command says so on its connection (`amplifier.reencrypts`); the service's role cannot.
set local lock_timeout = '5s';

create or replace trigger configs_keep_version before update of name, description, config_json, tags on configs
for each row when (
    (old.name, old.description, old.config_json, old.tags)
    is distinct from (new.name, new.description, new.config_json, new.tags)
    and (current_setting('amplifier.reencrypts', true) is distinct from 'on' or current_user = 'amplifier_app')
)
execute function keep_config_version();

create or replace trigger configs_set_updated_at before update on configs
for each row when (
    new.updated_at is not distinct from old.updated_at
    and (current_setting('amplifier.reencrypts', true) is distinct from 'on' or current_user = 'amplifier_app')
)
execute function set_updated_at();
