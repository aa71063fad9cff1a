-- depends: 0088-applications-add_act_as
-- A client's own name for a message, unique in its session, so that overlapping appends add each message once and a message
-- that grows can be replaced. Messages without a key are never replaced.
set local lock_timeout = '5s';

alter table messages add column key varchar(256) collate "C";

-- volatile, so that it reads with a snapshot of its own: a statement that waited for the lock of the session's row sees what
-- was committed meanwhile
create function messages_by_key(of_session_id text, of_keys text[])
returns table (seq bigint, key text, message jsonb, role text, author_user_id text) language sql as $$
    select
        m.seq,
        m.key,
        m.message,
        m.role,
        m.author_user_id
    from messages as m
    where
        m.session_id = of_session_id
        and m.key = any(of_keys::varchar[])
$$;

-- the trigger that derives role and search entry names functions of `public` without their schema
create function messages_replace(of_session_id text, of_seqs bigint[], new_messages jsonb[])
returns bigint language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with replaced_messages as (
        update public.messages as m
        set message = n.message
        from unnest(of_seqs, new_messages) as n (seq, message)
        where
            m.session_id = of_session_id
            and m.seq = n.seq
            and m.key is not null
        returning m.seq
    )
    select count(*)
    from replaced_messages
$$;

revoke all on function messages_replace(text, bigint[], jsonb[]) from public;

grant execute on function messages_replace(text, bigint[], jsonb[]) to amplifier_app;

comment on column messages.key is 'The client''s name for the message, unique in the session; null if it has none';
comment on function messages_by_key is 'Returns the messages of a session with these keys, also those committed since the statement began';
comment on function messages_replace is 'Replaces messages of a session that have a key and returns how many it replaced. Works as its owner, because the service may not update messages';
comment on table messages is 'Transcripts, one row per message. The service only adds rows; a repair gives them higher numbers with messages_move, and messages_replace replaces those that have a key. Rows inserted by hand are streamed and searched like others.';
