-- Imported sessions stay, without the lines that they were read from.
set local lock_timeout = '5s';

create or replace function messages_retract(
    of_session_id text, seqs bigint[], event_seq bigint, by_user_id text, by_app_id text, erases boolean
) returns table (
    seq bigint, message jsonb, role text, size integer, author_user_id text, author_app_id text, created_at timestamptz,
    key varchar
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
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

create or replace function messages_move(of_session_id text, from_seqs bigint[], to_seqs bigint[]) returns bigint
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

drop table session_origin_lines;

drop table session_origins;
