"""Measures what a deployment needs: CPU time of service and database per operation, memory and disk, each at two sizes.

`python -m benchmarks.sizing` prints the tables of docs/operations.md. It takes about three minutes.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from amplifier.schema import migrate
from benchmarks import events, requests, search_corpus, search_generator, sizing_arithmetic
from benchmarks.events_clients import Appends, Followers, elsewhere
from benchmarks.search_corpus import Corpus
from benchmarks.search_generator import EVERYONE
from benchmarks.search_queries import authorised, terms
from benchmarks.sizing_arithmetic import Measured
from benchmarks.sizing_costs import SECONDS, Cost, Meter, requested

PAGE = Path(__file__).parent.parent / "docs/operations.md"
CORPORA = (10_000, 100_000)  # messages
FOLLOWERS = (200, 1000)
HISTORY = (10, 1000)  # messages of a session with an agent
SESSIONS = 64  # that requests go to in turn
PACE, LASTS, SETTLE = 100, 8, 3  # appends a second that are delivered; seconds; seconds until streams have settled
IDLE = 8  # seconds: two rounds of the sweep of presence
_AGENT = {"bundle": {"name": "bench"}, "providers": [{"module": "provider-echo"}]}
_MODULES = "context-simple,loop-basic,loop-streaming,provider-echo"
_SIZES = """
select
    (select pg_table_size('messages')::float / count(*) from messages),
    (select pg_relation_size('messages_search_idx')::float / count(*) from messages),
    (select (pg_indexes_size('messages') - pg_relation_size('messages_search_idx'))::float / count(*) from messages),
    (select avg(octet_length(message ->> 'content')) from messages)
"""


def main(arguments: list[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser("python -m benchmarks.sizing", description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the tables in docs/operations.md, too")
    options = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        sys.exit("the benchmarks need wrk: apt-get install wrk")
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp")))
        server = stack.enter_context(search_corpus.server(home))
        with contextlib.redirect_stdout(sys.stderr):
            small, large = (search_corpus.build(server, messages, home) for messages in CORPORA)
        measured = Measured()
        for corpus in (small, large):
            _on_corpus(home, corpus, measured)
        _follow(home, server, measured)
        text = f"{measured.tables()}\n{sizing_arithmetic.examples(measured)}\n"
        print(text)
        if options.write:
            write(text)


def write(text: str) -> None:
    """Replaces the tables in the page by the text."""
    before, begin, rest = PAGE.read_text().partition("<!-- begin of what benchmarks.sizing writes -->\n")
    _, end, after = rest.partition("<!-- end of what benchmarks.sizing writes -->\n")
    assert end, f"{PAGE} has no place for the tables"
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}")


@contextlib.contextmanager
def _service(home: Path, dsn: str, environ: dict[str, str]) -> Iterator[tuple[int, Meter]]:
    """Runs a service of one process. One user may use its whole pool."""
    settings = {"DATABASE_POOL_MIN_SIZE": "8", "DATABASE_POOL_MAX_SIZE": "24", "RUNTIME_MODULES": _MODULES}
    with requests._server(None, environ | settings) as port:
        yield port, Meter(home, port, dsn)


def _on_corpus(home: Path, corpus: Corpus, measured: Measured) -> None:
    """Measures requests and disk on a database of one size; on the largest, also users and transcripts of two sizes."""
    environ, headers_of = asyncio.run(authorised(corpus.dsn))
    with psycopg.connect(corpus.dsn) as owner:
        measured.disk(f"{corpus.messages:,} messages", *(owner.execute(_SIZES).fetchone() or ()))
    with _service(home, corpus.dsn, environ) as (port, meter):

        def measure(
            name: str, size: str, paths: list[str], user: str = EVERYONE, body: Any = None, seconds: int = SECONDS
        ) -> None:
            script = requests._script(home, "sizing", headers_of(user), paths, body)
            measured.add(name, size, requested(port, script, meter, seconds))

        recent = [f"/sessions/{one}" for one in search_generator.recent_sessions(corpus.messages)[-SESSIONS:]]
        size = f"{corpus.messages:,} messages"
        measure("get a session", size, recent)
        measure(
            "append a message", size, [f"{one}/transcript" for one in recent], body={"messages": [requests.MESSAGE]}
        )
        measure("create a session", size, ["/sessions"], body={"config_id": "config-0"})
        measure("read 50 messages", size, [f"{one}/transcript?limit=50" for one in recent])
        if corpus.messages == max(CORPORA):
            words = terms(corpus)["middling"]
            for count in (10, 500):
                user, size = search_generator.users(count)[0], f"user with {count} sessions"
                measure("list 50 sessions", size, ["/sessions?limit=50"], user)
                measure("search", size, [f"/search?{urlencode({'q': word})}" for word in words], user)
            _run_agents(port, headers_of(EVERYONE), measure)


def _run_agents(port: int, headers: dict[str, str], measure: Any) -> None:
    """Measures runs of the provider `echo`, which costs what every run costs besides its model."""
    config_id = _post(port, "/configs", headers, {"name": "agent", "config_data": _AGENT})["config_id"]
    for length in HISTORY:
        session_ids = [_post(port, "/sessions", headers, {"config_id": config_id})["session_id"] for _ in range(24)]
        turns = [{"role": role, "content": requests.MESSAGE["content"]} for role in ("user", "assistant")]
        for one in session_ids:
            for start in range(0, length, 500):
                messages = turns * (min(500, length - start) // 2)
                _post(port, f"/sessions/{one}/transcript", headers, {"messages": messages})
        paths = [f"/sessions/{one}/messages" for one in session_ids]
        _post(port, paths[0], headers, {"message": "hello"})  # waits until agents can be run
        measure("run", f"transcript of {length:,}", paths, body={"message": "hello"}, seconds=2 * SECONDS)


def _follow(home: Path, server: str, measured: Measured) -> None:
    """Measures followers, of which each session has the same number, and events that are delivered to them."""
    for count in FOLLOWERS:
        with search_corpus.made(server, f"followers_{count}") as dsn:
            migrate.migrate(dsn)
            bench = asyncio.run(events._seed(dsn, argparse.Namespace(followers=count, seconds=0, rounds=0)))
            environ = bench.environ | {"DATABASE_POOL_MAX_SIZE": "24"}
            with (
                requests._server(None, environ) as port,
                elsewhere(Followers, port, bench.follow, False) as follow,
                elsewhere(Appends, port, bench.append) as append,
            ):
                _measure_followers(count, Meter(home, port, dsn), port, follow, append, measured)


def _measure_followers(count: int, meter: Meter, port: int, follow: Any, append: Any, measured: Measured) -> None:
    def appended() -> float:
        return float(len(append("paced", PACE, LASTS)))

    def idle() -> float:
        time.sleep(IDLE)
        return IDLE * count

    append("paced", PACE, SETTLE)
    follow("open", count // 10)  # what the first ones make stays
    time.sleep(SETTLE)
    before = requests._rss(port)
    follow("open", count - count // 10)
    time.sleep(SETTLE)
    memory = (requests._rss(port) - before) / (count - count // 10)
    waiting = meter.cost(idle)
    followed = meter.cost(appended).without(waiting, count / PACE)
    follow("close")
    time.sleep(SETTLE)
    alone = meter.cost(appended)  # last, when everything has been called often
    per_event = Cost(*(cost / (count / events.SESSIONS) for cost in followed.without(alone)))
    size = f"{count:,} followers, {count // events.SESSIONS} of each session"
    measured.add("a follower, for a second", size, waiting)
    measured.add("an event to a follower", size, per_event)
    measured.memory(size, memory, before / 1024)


def _post(port: int, path: str, headers: dict[str, str], body: Any) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
