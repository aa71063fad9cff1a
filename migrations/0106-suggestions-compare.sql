-- depends: 0105-message_embeddings-create
-- Compares words for `did_you_mean` of searches (queries/suggestions.sql). pg_trgm would need an extension that not every database has.
set local lock_timeout = '5s';

-- Returns how many characters two words differ in: left out, added, replaced, or swapped with the next one. Counts to `most` + 1.
create function search_distance(first text, second text, most integer) returns integer
language plpgsql immutable
as $$
declare
    columns constant integer := length(second);
    one constant text[] := string_to_array(first, null);
    two constant text[] := string_to_array(second, null);
    earlier integer[];
    before integer[] := array(select generate_series(0, length(second)));
    current integer[];
    value integer;
begin
    if first = second then
        return 0;
    end if;
    if abs(length(first) - columns) > most or greatest(length(first), columns) > 40 then
        return most + 1;
    end if;
    for line in 1 .. length(first) loop
        current := array[line];
        for place in 1 .. columns loop
            value := least(
                current[place] + 1, before[place + 1] + 1, before[place] + (one[line] <> two[place])::integer
            );
            if line > 1 and place > 1 and one[line] = two[place - 1] and one[line - 1] = two[place] then
                value := least(value, earlier[place - 1] + 1);
            end if;
            current := current || value;
        end loop;
        earlier := before;
        before := current;
    end loop;
    return least(before[columns + 1], most + 1);
end
$$;

comment on function search_distance is 'Returns how many characters two words differ in (left out, added, replaced, swapped with the next), `most` + 1 at most';
