-- depends: 0038-messages-move
-- Notifications on the channel `amplifier` are signed: any login of the database may NOTIFY, and processes act on what they hear.
-- The keys are made here, once for each database, and only the service's role and the owner may read them. The signature is the
-- first half of HMAC-SHA-256 with two independent keys instead of one and two pads, because PostgreSQL has no hmac() of its own.
-- It includes the time, so that a copy of a notification is ignored.
set local lock_timeout = '5s';

create table notification_keys (
    single boolean not null default true,
    inner_key bytea not null,
    outer_key bytea not null,
    constraint notification_keys_pkey primary key (single),
    constraint notification_keys_single_check check (single),
    constraint notification_keys_inner_key_check check (octet_length(inner_key) = 64),
    constraint notification_keys_outer_key_check check (octet_length(outer_key) = 64)
);

insert into notification_keys (inner_key, outer_key)
values (
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
);

grant select on notification_keys to amplifier_app;

-- Sends all processes a signed notification: `select announce('reload queries')`.
create function announce(payload text) returns void language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    keys public.notification_keys;
    dated text := (extract(epoch from clock_timestamp()) * 1000000)::bigint || ' ' || payload;
begin
    select * into strict keys from public.notification_keys;
    perform pg_notify(
        'amplifier',
        left(encode(sha256(keys.outer_key || sha256(keys.inner_key || convert_to(dated, 'UTF8'))), 'hex'), 32) || ' ' || dated
    );
end
$$;

revoke all on function announce(text) from public;

grant execute on function announce(text) to amplifier_app;

-- As its owner, so that it announces what any role that may change applications has changed.
create or replace function announce_application() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from public.stream_tickets where app_id = old.app_id;
    perform public.announce('application ' || old.app_id);
    return null;
end
$$;

revoke all on function announce_application() from public;
