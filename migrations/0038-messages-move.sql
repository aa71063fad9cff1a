-- depends: 0037-run_approvals-create
-- A repair of a transcript moves messages to the end of the session's clock. The service can only add messages, and that stays so:
-- this function gives messages of one session higher numbers, and changes nothing else.
set local lock_timeout = '5s';

create function messages_move(of_session_id text, from_seqs bigint[], to_seqs bigint[]) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with moved_messages as (
        update public.messages as m
        set seq = t.to_seq
        from unnest(from_seqs, to_seqs) as t (from_seq, to_seq)
        where
            m.session_id = of_session_id
            and m.seq = t.from_seq
            and t.to_seq > t.from_seq
        returning m.seq
    )

    select count(*)
    from moved_messages
$$;

revoke all on function messages_move(text, bigint[], bigint[]) from public;

grant execute on function messages_move(text, bigint[], bigint[]) to amplifier_app;
