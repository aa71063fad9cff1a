-- name: get(actor_id, session_id)^
-- One session that the caller may export, as its exports describe it, and whether the caller may write to it.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return Exported | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cost   40
select
    s.session_id,
    s.external_id,
    s.title,
    s.status,
    s.tags,
    s.metadata,
    s.messages_total,
    s.last_seq,
    s.created_at,
    s.updated_at,
    may_send(p.role, p.permissions) as may_write
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and may_export(p.role, p.permissions)
    and s.session_id = :session_id;


-- name: origin(actor_id, session_id)^
-- The file that a session was imported from, if all messages up to the last one of the file are lines of it, in their order.
-- Returns no row if a message was taken back, moved, or added between them, nor to participants who get no thoughts.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return Origin | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, session_origins_pkey, session_origin_lines_pkey, messages_pkey
-- @cost   300
select
    o.tool,
    o.source_id,
    o.path,
    o.title,
    o.lines,
    o.is_whole,
    o.files,
    l.messages,
    l.last_seq
from session_participants as p
inner join session_origins as o on o.session_id = p.session_id
cross join lateral (
    select
        count(*) as messages,
        coalesce(max(n.seq), 0) as last_seq,
        coalesce(bool_and(n.seq > n.former_seq), true) as is_in_order
    from (
        select
            u.seq,
            lag(u.seq) over (order by b.first_line, u.place) as former_seq
        from session_origin_lines as b
        cross join unnest(b.message_seqs) with ordinality as u (seq, place)
        where
            b.session_id = :session_id
            and u.seq is not null
    ) as n
) as l
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and may_export(p.role, p.permissions)
    and may_send(p.role, p.permissions)
    and o.session_id = :session_id
    and l.is_in_order
    and l.messages = (
        select count(*)
        from messages as m
        where
            m.session_id = :session_id
            and m.seq <= l.last_seq
    );


-- name: lines(actor_id, session_id, after, limit, max_bytes)
-- A page of the lines of the file that a session was imported from, as bytes. A page ends before its lines exceed max_bytes, but has
-- at least one row. Returns null for a line that was too long to keep.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  after       first_line of the last row of the page before, 0 for the beginning
-- @param  limit       rows at most, with up to 1,000 lines each
-- @param  max_bytes   bytes of lines at most, as they are stored
-- @return OriginLine[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, session_origin_lines_pkey
-- @cost   150
select
    page.first_line,
    l.line
from session_participants as p
cross join lateral (
    select
        next.first_line,
        next.lines,
        sum(pg_column_size(next.lines)) over (order by next.first_line) as bytes,
        row_number() over (order by next.first_line) as number
    from (
        select
            b.first_line,
            b.lines
        from session_origin_lines as b
        where
            b.session_id = :session_id
            and b.first_line > :after
        order by b.first_line
        limit :limit
    ) as next
) as page
cross join unnest(page.lines) with ordinality as l (line, place)
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and may_export(p.role, p.permissions)
    and may_send(p.role, p.permissions)
    and (page.bytes <= :max_bytes::bigint or page.number = 1)
order by page.first_line, l.place;
