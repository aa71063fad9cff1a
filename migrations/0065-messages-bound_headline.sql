-- depends: 0064-applications-add_key_managers
-- A headline has 1,000 characters at most. Its fragments are bound by words, and a word may be of any length.
set local lock_timeout = '5s';

-- allow renaming-object: a function of the former name and arguments follows
alter function search_headline rename to search_fragments;

-- The fragments of a text that a query matches, as search_fragments returns them. Of longer ones, what is around the first hit.
create function search_headline(language regconfig, query tsquery, value text) returns text
language sql immutable
return (
    select case
        when length(text) <= 1000 then text
        else concat(
            case when start > 1 then '…' end,
            regexp_replace(substr(text, start, 990), E'\uE000[^\uE001]*$', E'\\&\uE001'),
            '…'
        )
    end
    from (
        select
            text,
            greatest(strpos(text, E'\uE000') - 300, 1) as start
        from search_fragments(language, query, value) as text
        offset 0
    ) as found
);
