set local lock_timeout = '5s';

create or replace function search_restored(
    pieces text[], marked text[], terms tsquery, first_place integer, last_place integer
) returns text
language sql immutable parallel safe
return (
    select btrim(replace(
        string_agg(
            case
                when
                    (plain <> piece and strpos(mark, E'\uE000') > 0)
                    or (strpos(mark, E'\uE000') = 0 and is_marked_before)
                    then concat(E'\uE000', piece, E'\uE001')
                when plain = piece then mark
                else piece
            end,
            '' order by place
        ),
        E'\uE001\uE000',
        ''
    ), E' \n\t\r')
    from (
        select
            place,
            piece,
            mark,
            plain,
            lag(
                plain <> piece
                and strpos(terms::text, lower(format('''%s''', substring(mark from E'\uE000([^\uE000]+)\uE001\x02$')))) > 0
            ) over (order by place) as is_marked_before
        from (
            select
                place,
                pieces[place] as piece,
                marked[place] as mark,
                translate(marked[place], E'\uE000\uE001\x02', '') as plain
            from generate_series(greatest(first_place, 1), least(last_place, cardinality(pieces))) as place
        ) as shown_pieces
    ) as marked_pieces
);
