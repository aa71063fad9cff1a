-- depends: 0106-suggestions-compare
-- Where imported sessions come from. Each line of an imported file is kept as its bytes, in the session that it belongs to, so that an
-- export can write the file again. A message that is taken back takes its line with it, and one that moves stays beside its line.
set local lock_timeout = '5s';

create table session_origins (
    session_id text collate "C" not null,
    tool text collate "C" not null,
    tool_version text collate "C",
    source_id text collate "C" not null,
    path text collate "C" not null,
    title text,
    lines bigint not null default 0,
    digest text collate "C" not null,
    is_whole boolean not null default true,
    files jsonb not null default '{}',
    imported_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint session_origins_pkey primary key (session_id),
    constraint session_origins_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint session_origins_tool_length_check check (greatest(length(tool), length(tool_version), length(title)) <= 255),
    constraint session_origins_source_id_length_check check (length(source_id) <= 500),
    constraint session_origins_path_length_check check (length(path) <= 4096),
    constraint session_origins_digest_check check (digest ~ '^[0-9a-f]{64}$'),
    constraint session_origins_lines_check check (lines >= 0),
    constraint session_origins_files_check check (jsonb_typeof(files) = 'object')
);

create table session_origin_lines (
    session_id text collate "C" not null,
    first_line bigint not null,
    numbers bigint[] not null,
    message_seqs bigint[] not null,
    lines bytea[] not null,
    constraint session_origin_lines_pkey primary key (session_id, first_line),
    constraint session_origin_lines_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint session_origin_lines_numbers_check check (
        cardinality(numbers) between 1 and 1000
        and first_line = numbers[1]
    ),
    constraint session_origin_lines_message_seqs_check check (cardinality(message_seqs) = cardinality(numbers)),
    constraint session_origin_lines_lines_check check (
        cardinality(lines) = cardinality(numbers)
        and pg_column_size(lines) <= 17500000
    )
);

create trigger session_origins_set_updated_at before update on session_origins
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();

create trigger session_origins_files_size_check before insert or update of files on session_origins
for each row when (octet_length(new.files::text) > 2097152) execute function refuse_value('files');

grant select, insert, update on session_origins to amplifier_app;

grant select, insert on session_origin_lines to amplifier_app;

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

    blanked_lines as (
        update public.session_origin_lines as o
        set
            lines = array(
                select case when l.message_seq = any(seqs) then null else l.line end
                from unnest(o.message_seqs, o.lines) with ordinality as l (message_seq, line, place)
                order by l.place
            )
        where
            o.session_id = of_session_id
            and o.message_seqs && seqs
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
    ),

    moved_origins as (
        update public.session_origin_lines as o
        set
            message_seqs = array(
                select coalesce(t.to_seq, l.message_seq)
                from unnest(o.message_seqs) with ordinality as l (message_seq, place)
                left join unnest(from_seqs, to_seqs) as t (from_seq, to_seq)
                    on t.from_seq = l.message_seq
                    and t.to_seq > t.from_seq
                order by l.place
            )
        where
            o.session_id = of_session_id
            and o.message_seqs && from_seqs
    )

    select count(*)
    from moved_messages
$$;

comment on table session_origins is 'Origins of imported sessions, one row per session. Written by imports.';

comment on column session_origins.session_id is 'The session';

comment on column session_origins.tool is 'The tool that wrote it, such as `claude-code`';

comment on column session_origins.tool_version is 'Version of the tool, or null';

comment on column session_origins.source_id is 'Id that the session has in the tool';

comment on column session_origins.path is 'The file that it was read from, at the last import';

comment on column session_origins.title is 'Title that the last import gave the session, or null. A title that differs was given here and stays';

comment on column session_origins.lines is 'Number of lines of the session that are imported';

comment on column session_origins.digest is 'SHA-256 of these lines, in hexadecimal: the next import continues after them if it finds the same';

comment on column session_origins.is_whole is 'False if the last line had no line feed';

comment on column session_origins.files is 'Small files beside it, by name, as texts; a JSON object';

comment on column session_origins.imported_at is 'Time of the first import';

comment on column session_origins.updated_at is 'Time of the last change, kept by a trigger';

comment on table session_origin_lines is 'The lines of imported files as they were, some per row. Written by imports; a retraction empties the line of its message.';

comment on column session_origin_lines.session_id is 'The session';

comment on column session_origin_lines.first_line is 'Number of the first line of the row in its file, from 1';

comment on column session_origin_lines.numbers is 'Numbers of the lines in the file, at most 1,000';

comment on column session_origin_lines.message_seqs is 'For each line the number of the message that it became, null for lines that are no messages';

comment on column session_origin_lines.lines is 'The lines without line feeds; null for a line whose message was taken back, or that was too long to keep';
