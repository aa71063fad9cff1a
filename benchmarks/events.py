"""Measures live events: their delay and the cost of followers and notifications, compared with the demanded limits.

`python -m benchmarks.events delivery memory` runs some sections only. Every follower is another user.
"""

import argparse
import asyncio
import contextlib
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psycopg

from amplifier.postgres import embedded
from amplifier.schema import migrate
from benchmarks import requests
from benchmarks.events_clients import Appended, Appends, Call, Followers, elsewhere
from benchmarks.figures import at_least, at_most, percentile
from benchmarks.search_queries import APPLICATION, authorised, connected

SESSIONS, WRITER = 100, "writer"
RATE, WARM = 50, 3  # appends a second, seconds
WRITERS, ROUND = 16, 3  # clients, seconds
SHORT, AS_MANY = 1, 4  # seconds of a round of `notify`, and times as many of them: it looks for a few percent
SETTLE = 1.5  # seconds until the consequences of a change are over: presence, sweeps
WITHIN = {"delivery": (10, 150), "across": (40, None)}  # ms, of the 50th and the 99th percentile
MEMORY = 40  # KB
WITH_FOLLOWERS, WITH_NOTIFY = 0.8, 0.95
_BODY = b'{"messages":[{"role":"user","content":"The quick brown fox jumps over the lazy dog."}]}'
_FOLLOWERS = "insert into session_participants (session_id, user_id, role) values (%s, %s, 'viewer')"


class Bench(NamedTuple):
    """The environment of the service, clients that follow and append, and the amount of measurements."""

    environ: dict[str, str]
    follow: list[bytes]
    append: list[bytes]
    seconds: int
    rounds: int

    def service(self, **settings: str) -> contextlib.AbstractContextManager[int]:
        """Runs a service and yields its port."""
        return requests._server(None, self.environ | settings)

    def followers(self, port: int, timed: bool = False) -> contextlib.AbstractContextManager[Call]:
        """Calls a process with streams."""
        return elsewhere(Followers, port, self.follow, timed)

    def appends(self, port: int) -> contextlib.AbstractContextManager[Call]:
        """Calls a process that appends."""
        return elsewhere(Appends, port, self.append)


def delivery(bench: Bench) -> None:
    """Measures the time from the commit to each follower on one process."""
    with bench.service() as port:
        _deliver(bench, "delivery", port, port)


def across(bench: Bench) -> None:
    """Measures the time from the commit to each follower on another process."""
    with bench.service() as port, bench.service() as other:
        _deliver(bench, "across", port, other)


def memory(bench: Bench) -> None:
    """Measures the service's memory per follower. The second half of the followers uses no memory of the warm-up."""
    count = len(bench.follow)
    with bench.service() as port, bench.followers(port) as follow:
        follow("open", count // 10)
        time.sleep(SETTLE)
        follow("close")
        sizes = []
        for more in (0, count // 2, count // 2):
            follow("open", more)
            time.sleep(2 * SETTLE)
            sizes.append(requests._rss(port))
        follow("close")
    print(f"\n{'resident memory of the service':36}{'MB':>8}{'KB each':>10}")
    print(f"{'without followers':36}{sizes[0] / 1024:>8.1f}")
    each = (sizes[2] - sizes[0]) / count
    print(f"{f'{count:,} followers':36}{sizes[2] / 1024:>8.1f}{each:>10.1f}   {at_most(each, MEMORY)}")
    print(f"{'the second half of them':36}{'':8}{(sizes[2] - sizes[1]) / (count // 2):>10.1f}", flush=True)


def appends(bench: Bench) -> None:
    """Measures appends with followers of all sessions and with none."""
    shares = []
    with bench.service() as port, bench.followers(port) as follow, bench.appends(port) as append:

        def without() -> float:
            time.sleep(SETTLE)
            return float(append("rate", WRITERS, ROUND)[0])

        def followed() -> float:
            follow("open", len(bench.follow))
            time.sleep(SETTLE)
            rate, count = append("rate", WRITERS, ROUND)
            time.sleep(SETTLE)
            shares.append(follow("close") / (count * len(bench.follow) / SESSIONS))
            return float(rate)

        title = f"append, {len(bench.follow):,} followers / none"
        _compare(title, followed, without, bench.rounds, WITH_FOLLOWERS)
    print(f"of what they should have got the followers had {min(shares):.2%} to {max(shares):.2%}", flush=True)


def notify(bench: Bench) -> None:
    """Measures appends to a process that notifies another one, and to one that notifies none."""
    with (
        bench.service() as port,
        bench.service(NOTIFY_DELAY="3600") as silent,
        bench.appends(port) as telling,
        bench.appends(silent) as keeping,
    ):

        def rate(append: Call) -> Callable[[], float]:
            return lambda: float(append("rate", WRITERS, SHORT)[0])

        _compare("append, with / without NOTIFY", rate(telling), rate(keeping), AS_MANY * bench.rounds, WITH_NOTIFY)


SECTIONS = {each.__name__: each for each in (delivery, across, memory, appends, notify)}


def main(arguments: list[str] | None = None) -> None:
    """Prints the tables."""
    options = _options(arguments)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp")))
        dsn = stack.enter_context(embedded.running(home, "amplifier-api"))
        migrate.migrate(dsn)
        bench = asyncio.run(_seed(dsn, options))
        for name in options.sections:
            SECTIONS[name](bench)


def _deliver(bench: Bench, name: str, port: int, other: int) -> None:
    count = len(bench.follow)
    with bench.followers(other, True) as follow, bench.appends(port) as append:
        follow("open", count)
        time.sleep(SETTLE)
        append("paced", RATE, WARM)
        appended: list[Appended] = append("paced", RATE, bench.seconds)
        time.sleep(SETTLE)
        arrived: list[list[tuple[int, float]]] = follow("arrivals")
    moments = {(one.session, one.seq): one for one in appended}
    pairs = [
        (moments[number % SESSIONS, seq], moment)
        for number, arrivals in enumerate(arrived)
        for seq, moment in arrivals
        if (number % SESSIONS, seq) in moments
    ]
    p50, p99 = WITHIN[name]
    title = "on one process" if port == other else "on another process"
    print(
        f"\n{f'{count:,} followers, {RATE} a second, ms':36}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}{'events':>9}",
        end="",
    )
    print(f"{'missing':>9}")
    after = [max(0.0, moment - one.answered) * 1000 for one, moment in pairs]
    demanded = ", ".join(at_most(percentile(after, at), limit) for at, limit in ((50, p50), (99, p99)) if limit)
    missing = sum(sum(number % SESSIONS == one.session for number in range(count)) for one in appended) - len(pairs)
    print(f"{f'from the answer, {title}':36}{_cells(after)}{len(after):>9,}{missing:>9,}   {demanded}")
    print(f"{'from the request':36}{_cells([(moment - one.sent) * 1000 for one, moment in pairs])}")
    print(f"{'the appends':36}{_cells([(one.answered - one.sent) * 1000 for one in appended])}", flush=True)


def _cells(times: list[float]) -> str:
    return "".join(f"{value:>8.1f}" for value in (*(percentile(times, at) for at in (50, 95, 99)), max(times)))


def _compare(title: str, ours: Callable[[], float], theirs: Callable[[], float], rounds: int, limit: float) -> None:
    ours(), theirs()  # warm
    pairs = [(ours(), theirs()) if turn % 2 else tuple(reversed((theirs(), ours()))) for turn in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ratios)
    print(f"\n{f'{WRITERS} writers':36}{'a second':>10}{'beside':>10}{'ratio':>8}   spread")
    print(f"{title:36}{first:>10.0f}{second:>10.0f}{ratio:>8.2f}   {ratios[0]:.2f}..{ratios[-1]:.2f}", end="")
    print(f"   {at_least(ratio, limit)}", flush=True)


async def _seed(dsn: str, options: argparse.Namespace) -> Bench:
    """Creates sessions of one writer, with the same number of followers each."""
    environ, headers_of = await authorised(dsn)
    sessions = [f"00000000-0000-4000-8000-{number:012}" for number in range(SESSIONS)]
    users = {f"follower-{number}": sessions[number % SESSIONS] for number in range(options.followers)}
    async with connected(dsn) as queries:
        config = {"config_id": "bench", "name": "bench", "description": None, "config_json": b"{}", "tags": b"{}"}
        await queries.configs.create(actor_id=WRITER, **config)
        rest = {"external_id": None, "config_id": "bench", "title": None, "tags": b"{}", "metadata": b"{}"}
        for session_id in sessions:
            await queries.sessions.create(actor_id=WRITER, actor_app_id=APPLICATION, session_id=session_id, **rest)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.cursor().executemany(_FOLLOWERS, [(session_id, user) for user, session_id in users.items()])
        owner.execute("vacuum analyze")
    follow = [_request(f"GET /sessions/{one}/events", headers_of(user)) for user, one in users.items()]
    append = [_request(f"POST /sessions/{one}/transcript", headers_of(WRITER), _BODY) for one in sessions]
    return Bench(environ | {"DATABASE_POOL_MIN_SIZE": "10"}, follow, append, options.seconds, options.rounds)


def _request(line: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    named = headers | {"Host": "bench", "Content-Length": str(len(body))}
    lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.events", description="Live events.")
    parser.add_argument("sections", nargs="*", default=[*SECTIONS], metavar="section", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--followers", type=int, default=1000, help="fewer, for trying")
    parser.add_argument("--seconds", type=int, default=30, help="of appends at a pace")
    parser.add_argument("--rounds", type=int, default=11, help="of what is compared")
    options = parser.parse_args(arguments)
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section of the name {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    main()
