-- depends: 0007-messages-create
-- What happened in a session besides messages, and who did it. Numbers come from the session's clock, as messages' do:
-- both together, by `seq`, are the session's log.
set local lock_timeout = '5s';

create table session_events (
    session_id text collate "C" not null,
    seq bigint not null,
    type text collate "C" not null,
    data jsonb not null default '{}',
    actor_user_id text collate "C",
    created_at timestamptz not null default now(),
    constraint session_events_pkey primary key (session_id, seq),
    constraint session_events_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint session_events_seq_check check (seq > 0),
    constraint session_events_type_check check (type ~ '^[a-z_]+[.][a-z_]+$'),
    constraint session_events_data_check check (jsonb_typeof(data) = 'object')
);
