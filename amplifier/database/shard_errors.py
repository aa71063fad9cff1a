"""Names the constraint of an error that comes from a shard of Citus: there it is only in the message, with a number."""

import re

import asyncpg

_NAMED = re.compile(r'constraint "(\w+?)(?:_\d{5,})?"')  # the numbers of shards begin at 102008


def name_constraint(error: asyncpg.PostgresError) -> None:
    """Sets `constraint_name` to the constraint of the table, if only the message of the error has it."""
    if not error.constraint_name and (found := _NAMED.search(str(error.args[0]))):
        error.constraint_name = found[1]
