-- depends: 0006-configuration-create
-- Transcripts, one row a message. `message` is the object as the client sent it; the rest derives from it here.
set local lock_timeout = '5s';

create table messages (
    session_id text collate "C" not null,
    seq bigint not null,
    message jsonb not null,
    role text generated always as (message ->> 'role') stored,
    size integer generated always as (octet_length(message::text)) stored,
    author_user_id text collate "C" not null,
    author_app_id text collate "C" not null,
    created_at timestamptz not null default now(),
    constraint messages_pkey primary key (session_id, seq),
    constraint messages_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint messages_seq_check check (seq > 0),
    constraint messages_message_check check (jsonb_typeof(message) = 'object'),
    constraint messages_message_depth_check check (not message @? '$.**{64}'),
    constraint messages_role_check
        check (role is not null and role in ('system', 'developer', 'user', 'assistant', 'function', 'tool')),
    constraint messages_size_check check (size <= 16777216)
);

-- A session's whole transcript as one JSON array, for people who query the database.
create view session_transcripts as
select
    sessions.session_id,
    sessions.last_seq,
    coalesce(
        (
            select jsonb_agg(messages.message order by messages.seq)
            from messages
            where messages.session_id = sessions.session_id
        ),
        '[]'
    ) as transcript
from sessions;
