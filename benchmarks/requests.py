"""Measures requests per second of the service, compared with a plain Litestar handler and a bare ASGI callable.

Every server is a uvicorn of one worker on the same embedded PostgreSQL; wrk drives them in turns with 32 connections,
several rounds each, and the table shows medians and the medians of the rounds' ratios. The requests come from eight
users in turn: one user alone gets a third of the database's connections. `--one-user` measures that.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import msgspec
import psycopg

from amplifier import paths
from amplifier.database.pool import Database
from amplifier.postgres import embedded
from amplifier.queries.registry import Queries
from amplifier.schema import migrate
from amplifier.settings import Settings
from amplifier.web.authentication import generate_key
from benchmarks.floors import APPLICATION, USER

ROUNDS, SECONDS, CONNECTIONS, SESSIONS = 11, 2, 32, 64
USERS = [USER, *(f"{USER}-{number}" for number in range(2, 9))]  # the first owns what the others take part in
SECRET = "a secret for benchmarks that is long enough"
MESSAGE = {"role": "user", "content": "The quick brown fox jumps over the lazy dog, twice a day. " * 4}


def main() -> None:
    """Prints the table."""
    if shutil.which("wrk") is None:
        sys.exit("the benchmarks need wrk: apt-get install wrk")
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp")))
        dsn = stack.enter_context(embedded.running(home, "amplifier-api"))
        migrate.migrate(dsn)
        key, sessions, short, long = asyncio.run(_seed(dsn))
        only = sys.argv[1:]
        users = USERS[:1] if "--one-user" in only else USERS
        only = [word for word in only if word != "--one-user"]
        headers = [_headers(key, user) for user in users]
        environ = {
            "DATABASE_URL": dsn,
            "AUTH_REQUIRED": "true",
            "SECRET_KEY": SECRET,
            "DATABASE_POOL_MIN_SIZE": "10",
            "PYTHONPATH": str(home),
        }
        # a worker without the extra `runtime`, which imports SDKs in a thread during its first seconds
        (home / "sitecustomize.py").write_text("import sys\nsys.modules['amplifier_core'] = None\n")
        limited = environ | {"RATE_LIMIT_REQUESTS_PER_MINUTE": "1000000"}
        ports = {
            name: stack.enter_context(_server(app, settings))
            for name, app, settings in (
                ("service", None, environ),
                ("limited", None, limited),
                ("plain", "benchmarks.floors:plain", environ),
                ("bare", "benchmarks.floors:bare", environ),
            )
        }
        print(f"{'':34}{'a second':>10}{'beside':>10}{'ratio':>8}   spread")
        for title, ours, theirs in _comparisons(home, ports, headers, sessions, short, long):
            if not only or any(word in title for word in only):
                _compare(title, ours, theirs)
        print(f"resident memory of the worker: {_rss(ports['service']) / 1024:.0f} MB")


def _comparisons(
    home: Path, ports: dict[str, int], headers: list[dict[str, str]], sessions: list[str], short: str, long: str
) -> Iterator[tuple[str, Callable[[], float], Callable[[], float]]]:
    def wrk(server: str, script: Path) -> Callable[[], float]:
        return lambda: _wrk(ports[server], script)

    get = _script(home, "get", headers, [f"/sessions/{s}" for s in sessions], None)
    append = _script(home, "append", headers, [f"/sessions/{s}/transcript" for s in sessions], {"messages": [MESSAGE]})
    read = _script(home, "read", headers, [f"/sessions/{long}/transcript?limit=1000"], None)
    for name, script in (("get a session", get), ("append a message", append)):
        yield f"{name} / plain Litestar", wrk("service", script), wrk("plain", script)
        yield f"{name} / bare ASGI", wrk("service", script), wrk("bare", script)
    yield "get, with a rate limit / without", wrk("limited", get), wrk("service", get)
    keyed = _script(
        home, "keyed", headers, [f"/sessions/{s}/transcript" for s in sessions], {"messages": [MESSAGE]}, True
    )
    yield "append, Idempotency-Key / without", wrk("service", keyed), wrk("service", append)
    configs = [{"config_id": f"of-{user}"} for user in USERS[: len(headers)]]
    create = _script(home, "create", headers, ["/sessions"], configs)
    yield "create a session / append", wrk("service", create), wrk("service", append)
    # eight connections: a page takes milliseconds, and what is in line for longer than a second is refused
    yield (
        "read 1,000 messages / bare ASGI",
        lambda: _wrk(ports["service"], read, 8),
        lambda: _wrk(ports["bare"], read, 8),
    )
    to_long = _script(home, "long", headers, [f"/sessions/{long}/transcript"], {"messages": [MESSAGE]})
    to_short = _script(home, "short", headers, [f"/sessions/{short}/transcript"], {"messages": [MESSAGE]})
    # one connection: appends to one session queue at its row, which is not what is compared here
    yield (
        "append to 10,000 / to 10 messages",
        lambda: _wrk(ports["service"], to_long, 1),
        lambda: _wrk(ports["service"], to_short, 1),
    )


def _compare(title: str, ours: Callable[[], float], theirs: Callable[[], float]) -> None:
    ours(), theirs()  # warm
    pairs = [(ours(), theirs()) if turn % 2 else tuple(reversed((theirs(), ours()))) for turn in range(ROUNDS)]
    ratios = sorted(a / b for a, b in pairs)
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{title:34}{first:>10.0f}{second:>10.0f}{statistics.median(ratios):>8.2f}   {ratios[0]:.2f}..{ratios[-1]:.2f}",
        flush=True,
    )


def _headers(key: str, user: str) -> dict[str, str]:
    """Returns the headers of a user's requests."""
    token = jwt.encode({"sub": user, "exp": int(time.time()) + 36000}, SECRET, "HS256")
    return {"X-API-Key": key, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}


async def _seed(dsn: str) -> tuple[str, list[str], str, str]:
    """Creates sessions, one with 10 and one with 10,000 messages. Returns them and an application's key."""
    database, key = Database(Settings(), dsn), generate_key()
    await database.connect()
    queries = Queries(database, paths.folder("queries"))
    await queries.applications.create(
        app_id=APPLICATION,
        app_name=APPLICATION,
        api_key_hash=key.hash,
        api_key_prefix=key.prefix,
        is_admin=False,
        settings=b"{}",
        key_managers=[],
        act_as=False,
    )
    for user, config_id in [(USER, "bench"), *((user, f"of-{user}") for user in USERS)]:
        await queries.configs.create(
            actor_id=user, config_id=config_id, name="bench", description=None, config_json=b"{}", tags=b"{}"
        )
    sessions = [f"00000000-0000-4000-8000-{number:012}" for number in range(SESSIONS + 2)]
    for session_id in sessions:
        await queries.sessions.create(
            actor_id=USER,
            actor_app_id=APPLICATION,
            session_id=session_id,
            external_id=None,
            config_id="bench",
            title=None,
            tags=b"{}",
            metadata=b"{}",
        )
    for session_id, size, times in ((sessions[-1], 1000, 10), (sessions[-2], 10, 1)):
        for _ in range(times):
            await queries.messages.append(
                actor_id=USER,
                actor_app_id=APPLICATION,
                session_id=session_id,
                messages=msgspec.json.encode([MESSAGE] * size),
                expected_seq=None,
            )
    await database.close()
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("insert into users (user_id) select unnest(%s::text[]) on conflict do nothing", [USERS])
        owner.execute(
            "insert into session_participants (session_id, user_id, role) "
            "select session_id, user_id, 'editor' from sessions cross join unnest(%s::text[]) as user_id",
            [USERS[1:]],
        )
        owner.execute("vacuum analyze")
    return key.text, sessions[:-2], sessions[-2], sessions[-1]


@contextlib.contextmanager
def _server(app: str | None, environ: dict[str, str]) -> Iterator[int]:
    """Runs the service, or a floor with the same uvicorn, and yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "amplifier", "serve"]
    if app is not None:
        command = [sys.executable, "-m", "uvicorn", app, "--factory", "--port", str(port), "--no-access-log"]
        command += ["--log-level", "warning"]
    process = subprocess.Popen(
        command, env={**os.environ, **environ, "SERVICE_PORT": str(port), "LOG_LEVEL": "warning"}
    )
    _processes[port] = process.pid
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(30)


_processes: dict[int, int] = {}


def _script(
    home: Path,
    name: str,
    headers: list[dict[str, str]] | dict[str, str],
    paths: list[str],
    sent: Any = None,
    keyed: bool = False,
) -> Path:
    """Returns a wrk script that requests the paths in turn, optionally with Idempotency-Keys.

    `headers` and `sent`, the body, may be lists that are gone through in turn, too: a user each.
    """
    users = headers if isinstance(headers, list) else [headers]
    bodies = [f"[==[{json.dumps(one)}]==]" for one in (sent if isinstance(sent, list) else [sent])]
    method = "GET" if sent is None else "POST"
    key = 'headers["Idempotency-Key"] = run .. turn' if keyed else ""
    lines = [
        f"local paths = {{{', '.join(json.dumps(path) for path in paths)}}}",
        f"local users = {{{', '.join(map(_table, users))}}}",
        f"local bodies = {{{'' if sent is None else ', '.join(bodies)}}}",
        "local turn = 0",
        "math.randomseed(os.time())",
        "local run = math.random(1, 1000000000) .. '-'",
        f"request = function() turn = turn + 1 local headers = users[turn % #users + 1] {key}",
        f"  return wrk.format({json.dumps(method)}, paths[turn % #paths + 1], headers,",
        "    #bodies > 0 and bodies[turn % #bodies + 1] or nil) end",
    ]
    file = home / f"{name}.lua"
    file.write_text("\n".join(lines))
    return file


def _table(headers: dict[str, str]) -> str:
    return "{" + ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()) + "}"


def _wrk(port: int, script: Path, connections: int = CONNECTIONS) -> float:
    """Returns the requests per second. Fails if any response is not a success."""
    output = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", str(script), f"http://127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"the server refused requests of {script.name}:\n{output}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])  # type: ignore[index]


def _rss(port: int) -> int:
    """Returns the resident memory of the server's process in kB."""
    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10).close()
    status = Path(f"/proc/{_processes[port]}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]


if __name__ == "__main__":
    main()
