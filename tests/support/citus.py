"""A stand-in for the extension Citus, which no package registry here has.

It has the names that the product uses, and refuses what Citus 13.2.2 was measured to refuse. It moves no row, so it
shows what the product does where the extension is, not that Citus accepts it.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

_ENTER = """
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
select 99999, 'citus', current_user::regrole, 'public'::regnamespace, false, '13.2'
"""
_NODES = """
create table pg_dist_local_group as select 0 as groupid;

create table pg_dist_partition (logicalrelid regclass primary key, kind text, beside text);

create table calls (number bigint generated always as identity, call text);

create function citus_get_active_worker_nodes() returns table (node_name text, node_port bigint)
language sql as $$ values ('a', 5432::bigint), ('b', 5432) $$;

create function create_reference_table(name regclass) returns void language plpgsql as $$
begin
    insert into pg_dist_partition values (name, 'reference');
    insert into calls (call) values ('reference ' || name);
    if exists (select from pg_constraint where contype = 'f' and conrelid = name) then
        raise 'relation % has a foreign key to a table that is not placed', name;
    end if;
end $$;

create function create_distributed_table(name regclass, by text, colocate_with text = 'default')
returns void language plpgsql as $$
begin
    if current_setting('citus.enable_unsafe_triggers', true) is distinct from 'on'
        and exists (select from pg_trigger where tgrelid = name and not tgisinternal)
    then
        raise 'cannot distribute relation "%" because it has triggers', name;
    end if;
    if exists (select from pg_trigger where tgrelid = name and tgnewtable is not null) then
        raise 'relation "%" has a trigger with a transition table', name;
    end if;
    if exists (select from pg_constraint where contype = 'f' and name in (conrelid, confrelid)) then
        raise 'relation "%" has a foreign key to or from a table that is not placed', name;
    end if;
    if exists (
        select from pg_index as i
        where i.indrelid = name and i.indisunique and not exists (
            select from pg_attribute as a
            where a.attrelid = name and a.attname = by and a.attnum = any(i.indkey)
        )
    ) then
        raise 'cannot create a unique index on "%" that does not contain %', name, by;
    end if;
    insert into pg_dist_partition values (name, by, colocate_with);
    insert into calls (call) values (format('distributed %s by %s beside %s', name, by, colocate_with));
end $$;

create function create_distributed_function(name regprocedure) returns void language sql
as $$ insert into calls (call) values ('function ' || name) $$;
"""


@contextlib.contextmanager
def pretended(run: Callable[..., list[Any]]) -> Iterator[None]:
    """Makes the catalog of a database name the extension, during the context."""
    run(_ENTER)
    try:
        yield
    finally:
        run("delete from pg_extension where extname = 'citus'")


@contextlib.contextmanager
def coordinator(run: Callable[..., list[Any]]) -> Iterator[None]:
    """Gives a database the functions of a coordinator with two workers, too. The database cannot be used again."""
    run(_NODES)
    with pretended(run):
        yield
