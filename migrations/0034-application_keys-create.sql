-- depends: 0033-messages-keep_known_search
-- The keys of applications, several for each, so that they can be replaced without an outage. The columns of `applications` hold the
-- key named default, and whoever changes them there changes it here.
set local lock_timeout = '5s';

create table application_keys (
    app_id varchar(100) collate "C" not null,
    key_id text collate "C" not null,
    name varchar(255) not null,
    api_key_hash text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    constraint application_keys_pkey primary key (key_id),
    constraint application_keys_app_id_name_key unique (app_id, name),
    constraint application_keys_app_id_fkey foreign key (app_id) references applications on delete cascade,
    constraint application_keys_api_key_hash_check check (api_key_hash ~ '^[0-9a-f]{64}$'),
    constraint application_keys_name_check check (name <> '')
);

grant select, insert, update, delete on application_keys to amplifier_app;

create function keep_default_key() returns trigger language plpgsql as $$
begin
    insert into application_keys (app_id, key_id, name, api_key_hash)
    values (new.app_id, new.api_key_prefix, 'default', new.api_key_hash)
    on conflict on constraint application_keys_app_id_name_key do update
    set
        key_id = excluded.key_id,
        api_key_hash = excluded.api_key_hash,
        created_at = now(),
        expires_at = null,
        last_used_at = null;
    return null;
end
$$;

create trigger applications_keep_default_key after insert or update of api_key_hash, api_key_prefix on applications
for each row execute function keep_default_key();

insert into application_keys (app_id, key_id, name, api_key_hash, created_at)
select
    app_id,
    api_key_prefix,
    'default',
    api_key_hash,
    updated_at
from applications;
