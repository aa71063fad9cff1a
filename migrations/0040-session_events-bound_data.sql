-- depends: 0039-notification_keys-create
-- What an event says of a large change: its data has at most 8,192 bytes as text, for every statement that adds events, and for rows
-- that are inserted by hand. Followers of a session would all be sent what is larger.
set local lock_timeout = '5s';

-- Of data that is too large the smallest members, 4,096 bytes together, and in `changed` the names of the others.
create function bounded_event(data jsonb) returns jsonb language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
    with members as (
        select
            key,
            value,
            octet_length(to_json(key)::text) + 2 as name_bytes,
            octet_length(to_json(key)::text) + octet_length(value::text) + 4 as bytes
        from jsonb_each(data)
        where key <> 'changed'
    ),

    measured_members as (
        select
            key,
            value,
            name_bytes,
            sum(bytes) over (order by bytes, key) as bytes
        from members
    ),

    left_out as (
        select
            key,
            sum(name_bytes) over (order by key) as bytes
        from measured_members
        where bytes > 4096
    )

    select
        coalesce((select jsonb_object_agg(key, value) from measured_members where bytes <= 4096), '{}')
        || jsonb_build_object(
            'changed', coalesce((select jsonb_agg(key order by key) from left_out where bytes <= 2048), '[]')
        )
$$;

create function bound_event() returns trigger language plpgsql as $$
begin
    new.data := public.bounded_event(new.data);
    return new;
end
$$;

create trigger session_events_bound_data before insert on session_events
for each row when (octet_length(new.data::text) > 8192) execute function bound_event();
