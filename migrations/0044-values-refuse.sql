-- depends: 0043-users-check_user_id_dots
-- Every text, array, JSON and binary column has a bound. A jsonb column is measured as the text that every read sends: `1e99` is stored
-- in 8 bytes and printed with a hundred digits.
--
-- PostgreSQL evaluates all CHECK constraints of a row at each UPDATE. So the bounds of large columns are triggers `before insert or
-- update of <column>`: an update that does not name the column costs nothing, and a row of an earlier release that is over the bound can
-- still be updated. The condition is in the trigger's WHEN; this function is called only to refuse. The trigger is named as a constraint
-- and reported as one. Its argument is the column, which may keep the value that it has.
--
-- Columns of ids, and tables whose rows are only added, have a CHECK. It is never validated: rows of earlier releases stay, whatever
-- their size, and no migration fails because of them.
set local lock_timeout = '5s';

create function refuse_value() returns trigger language plpgsql as $$
declare
    is_kept boolean := false;
begin
    if tg_op = 'UPDATE' then
        execute format('select $1.%1$I is not distinct from $2.%1$I', tg_argv[0]) into is_kept using old, new;
    end if;
    if not is_kept then
        raise check_violation using
            message = format('%s.%s violates %s', tg_table_name, tg_argv[0], tg_name),
            table = tg_table_name,
            column = tg_argv[0],
            constraint = tg_name;
    end if;
    return new;
end
$$;
