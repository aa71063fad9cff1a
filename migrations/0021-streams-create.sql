-- depends: 0020-session_participants-add_last_read_seq
-- Who follows what at this moment, from any process: a row for each open stream; session_id is null for a stream of hints. A
-- process touches its rows every few seconds; what was not touched for longer belongs to a process that died. Unlogged: after a
-- crash of the database the processes write their rows again. No foreign keys: rows go with their streams.
set local lock_timeout = '5s';

create unlogged table streams (
    stream_id text collate "C" not null,
    process_id text collate "C" not null,
    session_id text collate "C",
    user_id text collate "C" not null,
    opened_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    constraint streams_pkey primary key (stream_id)
) with (fillfactor = 50);

create index streams_session_id_idx on streams (session_id);
create index streams_user_id_idx on streams (user_id);

grant select, insert, update, delete on streams to amplifier_app;
