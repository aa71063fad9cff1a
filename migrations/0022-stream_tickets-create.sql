-- depends: 0021-streams-create
-- Tickets that open one stream, within seconds, for clients that cannot send headers. Only the hash is kept; a claim deletes the
-- row. session_id is null for a stream of hints. token_expires_at is when the credentials end that the ticket was made with.
set local lock_timeout = '5s';

create table stream_tickets (
    ticket_hash text collate "C" not null,
    session_id text collate "C",
    user_id text collate "C" not null,
    app_id text collate "C" not null,
    token_expires_at timestamptz not null,
    expires_at timestamptz not null,
    constraint stream_tickets_pkey primary key (ticket_hash),
    constraint stream_tickets_session_id_fkey foreign key (session_id) references sessions on delete cascade
);

create index stream_tickets_session_id_idx on stream_tickets (session_id);
create index stream_tickets_expires_at_idx on stream_tickets (expires_at);

grant select, insert, update, delete on stream_tickets to amplifier_app;

-- A key that stops stops the tickets that were made with it.
create or replace function announce_application() returns trigger language plpgsql as $$
begin
    delete from stream_tickets where app_id = old.app_id;
    perform pg_notify('amplifier', 'application ' || old.app_id);
    return null;
end
$$;
