-- depends: 0049-config_versions-bound
-- 64 kB a value.
set local lock_timeout = '5s';

create trigger configuration_value_size_check before insert or update of value on configuration
for each row when (octet_length(new.value::text) > 65536) execute function refuse_value('value');
