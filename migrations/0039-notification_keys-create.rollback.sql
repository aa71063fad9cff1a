set local lock_timeout = '5s';

create or replace function announce_application() returns trigger language plpgsql security invoker as $$
begin
    delete from stream_tickets where app_id = old.app_id;
    perform pg_notify('amplifier', 'application ' || old.app_id);
    return null;
end
$$;

grant execute on function announce_application() to public;

drop function announce(text);

drop table notification_keys;
