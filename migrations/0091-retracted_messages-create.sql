-- depends: 0090-messages-index_key
-- Messages that were taken back. They leave `messages`, so that no statement that reads a transcript, searches or counts needs a
-- condition. The service can read and add rows only; the functions below work as their owner and change nothing else.
set local lock_timeout = '5s';

create table retracted_messages (
    session_id text collate "C" not null,
    seq bigint not null,
    message jsonb not null,
    role text,
    size integer generated always as (octet_length(message::text)) stored,
    author_user_id text collate "C" not null,
    author_app_id text collate "C" not null,
    created_at timestamptz not null,
    key varchar(256) collate "C",
    retracted_seq bigint not null,
    retracted_at timestamptz not null,
    retracted_by_user_id text collate "C" not null,
    retracted_by_app_id text collate "C" not null,
    erased_at timestamptz,
    constraint retracted_messages_pkey primary key (session_id, seq),
    constraint retracted_messages_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint retracted_messages_message_check check (jsonb_typeof(message) = 'object'),
    constraint retracted_messages_size_check check (size <= 16777216),
    constraint retracted_messages_erased_at_check check (erased_at is null or message = '{}'),
    constraint retracted_messages_id_length_check check (
        greatest(
            length(role), length(author_user_id), length(author_app_id), length(retracted_by_user_id), length(retracted_by_app_id)
        ) <= 255
    )
);

grant select, insert on retracted_messages to amplifier_app;

create function messages_choose(
    of_session_id text, seqs bigint[], newest bigint, after_seq bigint, most bigint
) returns table (seq bigint, author_user_id text)
language plpgsql volatile
as $$
begin
    return query
    select
        m.seq,
        m.author_user_id
    from public.messages as m
    where
        m.session_id = of_session_id
        and m.seq = any(seqs)
    union all
    (
        select
            m.seq,
            m.author_user_id
        from public.messages as m
        where
            m.session_id = of_session_id
            and m.seq > after_seq
        order by m.seq
        limit most
    )
    union all
    (
        select
            m.seq,
            m.author_user_id
        from public.messages as m
        where m.session_id = of_session_id
        order by m.seq desc
        limit coalesce(newest, 0)
    );
end
$$;

create function messages_retract(
    of_session_id text, seqs bigint[], event_seq bigint, by_user_id text, by_app_id text, erases boolean
) returns table (
    seq bigint, message jsonb, role text, size integer, author_user_id text, author_app_id text, created_at timestamptz,
    key varchar
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with gone_messages as (
        delete from public.messages as m
        where
            m.session_id = of_session_id
            and m.seq = any(seqs)
        returning
            m.seq,
            m.message,
            m.role,
            m.author_user_id,
            m.author_app_id,
            m.created_at,
            m.key
    ),

    -- the runs that repeat a message as what was asked or answered. A session has one run at a time, so those that were
    -- queued at last before the message was added are enough
    repeated_runs as (
        select
            r.run_id,
            bool_or(r.is_asked and r.place = 1) as is_asked,
            bool_or(r.is_answer) as is_answer
        from gone_messages as g
        cross join lateral (
            select
                t.run_id,
                t.is_asked,
                t.is_answer,
                row_number() over (partition by t.is_asked order by t.queued_at) as place
            from (
                select
                    n.run_id,
                    n.queued_at,
                    case when n.started_at >= g.created_at then n.message = g.message else false end as is_asked,
                    coalesce(g.role = 'assistant', false)
                    and n.started_at <= g.created_at
                    and n.finished_at >= g.created_at as is_answer
                from (
                    select
                        q.run_id,
                        q.queued_at,
                        q.message,
                        q.started_at,
                        q.finished_at
                    from public.runs as q
                    where
                        q.session_id = of_session_id
                        and q.queued_at <= g.created_at
                        and q.started_at is not null
                        and q.finished_at is not null
                    order by q.queued_at desc
                    limit 100
                ) as n
            ) as t
        ) as r
        where
            r.is_asked
            or r.is_answer
        group by r.run_id
    ),

    blanked_runs as (
        update public.runs as u
        set
            message = case when r.is_asked then '{}' else u.message end,
            response = case when not r.is_answer then u.response end
        from repeated_runs as r
        where
            u.session_id = of_session_id
            and u.run_id = r.run_id
    ),

    kept_messages as (
        insert into public.retracted_messages as k (
            session_id, seq, message, role, author_user_id, author_app_id, created_at, key, retracted_seq, retracted_at,
            retracted_by_user_id, retracted_by_app_id, erased_at
        )
        select
            of_session_id,
            g.seq,
            case when erases then '{}' else g.message end,
            g.role,
            g.author_user_id,
            g.author_app_id,
            g.created_at,
            g.key,
            event_seq,
            clock_timestamp(),
            by_user_id,
            by_app_id,
            case when erases then clock_timestamp() end
        from gone_messages as g
        returning
            k.seq,
            k.message,
            k.role,
            k.size,
            k.author_user_id,
            k.author_app_id,
            k.created_at,
            k.key
    )

    select
        k.seq,
        k.message,
        k.role,
        k.size,
        k.author_user_id,
        k.author_app_id,
        k.created_at,
        k.key
    from kept_messages as k;
end
$$;

create function messages_erase(of_session_id text, seqs bigint[]) returns setof bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    update public.retracted_messages as m
    set
        message = '{}',
        erased_at = clock_timestamp()
    where
        m.session_id = of_session_id
        and m.seq = any(seqs)
        and m.erased_at is null
    returning m.seq
$$;

revoke all on function messages_retract(text, bigint[], bigint, text, text, boolean) from public;

revoke all on function messages_erase(text, bigint[]) from public;

grant execute on function messages_retract(text, bigint[], bigint, text, text, boolean) to amplifier_app;

grant execute on function messages_erase(text, bigint[]) to amplifier_app;

comment on table messages is 'Transcripts, one row per message. The service only adds rows; messages_move gives them higher numbers, messages_replace replaces those that have a key, messages_retract takes them back. Rows inserted by hand are streamed and searched like others.';

comment on table retracted_messages is 'Messages that were taken back, one row per message. messages_retract and messages_erase write them for the service. Reads, views, searches and agents do not see them.';

comment on column retracted_messages.session_id is 'The session';

comment on column retracted_messages.seq is 'Number that the message had in the transcript';

comment on column retracted_messages.message is 'The message as it was sent, a JSON object of at most 16 MB; empty once it is erased';

comment on column retracted_messages.role is 'Role that was derived from the message, or null';

comment on column retracted_messages.size is 'Length of the message as text, in bytes, derived';

comment on column retracted_messages.author_user_id is 'The user that added the message, or in whose name the agent did';

comment on column retracted_messages.author_app_id is 'The application that the message was added through';

comment on column retracted_messages.created_at is 'Time of the statement that added the message';

comment on column retracted_messages.key is 'Key that the client gave the message, or null. It is free for another message';

comment on column retracted_messages.retracted_seq is 'Number of the event message.retracted on the clock of the session';

comment on column retracted_messages.retracted_at is 'Time when the message was taken back';

comment on column retracted_messages.retracted_by_user_id is 'The user that took the message back';

comment on column retracted_messages.retracted_by_app_id is 'The application that the message was taken back through';

comment on column retracted_messages.erased_at is 'Time when the text was erased, or null';

comment on function messages_choose is 'Returns the messages of a session that are to be taken back, with their authors: those with the given numbers, at most `most` after a number, or the newest. Commits during the calling statement are included';

comment on function messages_retract is 'Returns messages of a session that it moves to retracted_messages; blanks the runs that repeat them. Works as its owner, because the service may not delete messages';

comment on function messages_erase is 'Returns the numbers of retracted messages of a session that it empties. Works as its owner, because the service may not update retracted messages';
