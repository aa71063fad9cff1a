-- name: claim(before, limit)
-- Claims the attachments that were checked longest ago, as the query of the folder above does. It locks no rows before: of several
-- processes that chose the same attachment, the first one claims it. Returns those last that were checked longest ago.
-- @param  before  only those that were checked before this time
-- @param  limit   rows at most
-- @return UncheckedAttachment[]
-- @access system
-- @shards all
-- @index  attachments_checked_at_idx
with due as materialized (
    select
        session_id,
        sha256,
        row_number() over () as place
    from (
        select
            session_id,
            sha256
        from attachments
        where checked_at < :before
        order by checked_at
        limit :limit
    ) as oldest
),

claimed as (
    update attachments as a
    set checked_at = statement_timestamp()
    from due as d
    where
        a.session_id = d.session_id
        and a.sha256 = d.sha256
        and a.checked_at < :before
    returning
        a.session_id,
        a.sha256,
        a.referenced_seq,
        a.checked_at,
        d.place
)

select
    c.session_id,
    c.sha256,
    c.referenced_seq,
    c.checked_at,
    s.last_seq
from claimed as c
inner join sessions as s on s.session_id = c.session_id
order by c.place desc;
