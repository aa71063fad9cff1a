set local lock_timeout = '5s';

create or replace function announce_application() returns trigger language plpgsql as $$
begin
    perform pg_notify('amplifier', 'application ' || old.app_id);
    return null;
end
$$;

drop table stream_tickets;
