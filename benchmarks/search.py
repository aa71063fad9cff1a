"""Measures search in a million messages: its time, its cost for appends and its ranking, against demanded limits.

`python -m benchmarks.search sql http` runs some sections only. The corpus takes about three minutes; with `--keep` it
stays there for the next run.
"""

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import (
    search_appends,
    search_beside,
    search_corpus,
    search_identifiers,
    search_mixed,
    search_queries,
    search_relevance,
    search_typing,
)
from benchmarks.search_corpus import Corpus

SECTIONS: dict[str, Callable[[Corpus], Coroutine[Any, Any, None]]] = {
    "size": search_appends.size,
    "sql": search_queries.sql,
    "http": search_queries.http_beside_sql,
    "beside": search_beside.beside,
    "typing": search_typing.typing,
    "ilike": search_queries.ilike,
    "append": search_appends.append,
    "growth": search_appends.growth,
    "mixed": search_mixed.mixed,
    "first": search_mixed.first,
    "reindex": search_appends.reindex,
}
RANKINGS: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {  # on corpora of their own
    "relevance": search_relevance.relevance,
    "identifiers": search_identifiers.identifiers,
}


def main(arguments: list[str] | None = None) -> None:
    """Prints the tables."""
    options = _options(arguments)
    if "append" in options.sections and shutil.which("wrk") is None:
        sys.exit("the benchmarks need wrk: apt-get install wrk")
    with contextlib.ExitStack() as stack:
        home = options.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp"))
        )
        server = stack.enter_context(search_corpus.server(home))
        corpus = cache(lambda: search_corpus.build(server, options.messages, home))
        for name in options.sections:
            section = SECTIONS.get(name)
            asyncio.run(section(corpus()) if section else RANKINGS[name](server))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    names = [*SECTIONS, *RANKINGS]
    parser = argparse.ArgumentParser("python -m benchmarks.search", description="Search in a million messages.")
    parser.add_argument("sections", nargs="*", default=names, metavar="section", help=f"of {', '.join(names)}")
    parser.add_argument("--messages", type=int, default=1_000_000, help="a smaller corpus, for trying")
    parser.add_argument("--keep", type=Path, help="a folder for the corpus, to be used again")
    options = parser.parse_args(arguments)
    if unknown := set(options.sections) - set(names):
        parser.error(f"no section of the name {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    main()
