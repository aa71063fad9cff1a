"""A stand-in for the extension Citus, which no package registry here has: its name in the catalog, and nothing else.

It shows what the service does where the extension is, not that Citus accepts it.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

_ENTER = """
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
select 99999, 'citus', current_user::regrole, 'public'::regnamespace, false, '13.2'
"""


@contextlib.contextmanager
def pretended(run: Callable[..., list[Any]]) -> Iterator[None]:
    """Makes the catalog of a database name the extension, during the context."""
    run(_ENTER)
    try:
        yield
    finally:
        run("delete from pg_extension where extname = 'citus'")
