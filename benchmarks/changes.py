"""Measures requests per second of changes, each compared with an append in turns.

`python -m benchmarks.changes [WORD...]` measures those whose title has one of the words. The server, the database and
the load are those of `benchmarks.requests`.
"""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import jwt

from amplifier.postgres import embedded
from amplifier.schema import migrate
from benchmarks import requests
from benchmarks.floors import USER

ROUNDS = 5
_KEY = "Idempotency-Key"
_CONFIG = {"name": "n", "config_data": {"bundle": {"name": "b"}}}
_APPEND = ("POST", "/sessions/{session}/transcript", {"messages": [requests.MESSAGE]})
# title, method, path, body and headers; `{session}` is one of 64 sessions, `{config}` of 64 configs,
# `@` a number that no other request has
CHANGES: list[tuple[str, str, str, Any, dict[str, str]]] = [
    ("create a session", "POST", "/sessions", {"config_id": "bench"}, {}),
    ("create a session by key", "PUT", "/sessions/by-key/key-@", {}, {}),
    ("create a conversation", "POST", "/v1/conversations", {}, {}),
    ("append, Idempotency-Key", *_APPEND, {_KEY: "@"}),
    ("append 10 messages", "POST", "/sessions/{session}/transcript", {"messages": [requests.MESSAGE] * 10}, {}),
    ("change a title", "PATCH", "/sessions/{session}", {"title": "title @"}, {}),
    ("patch a state", "PATCH", "/sessions/{session}/state", {"session": {"a": "@"}}, {}),
    ("add a participant", "POST", "/sessions/{session}/participants", {"user_id": "user-@", "role": "viewer"}, {}),
    ("make an invitation", "POST", "/sessions/{session}/invitations", {"role": "viewer"}, {}),
    ("mark as read", "POST", "/sessions/{session}/read", {"seq": 0}, {}),
    ("make a ticket", "POST", "/sessions/{session}/events/ticket", None, {}),
    ("create a config", "POST", "/configs", _CONFIG, {}),
    ("change a config", "PUT", "/configs/{config}", {"name": "name @"}, {}),
    ("fork a session of 1 message", "POST", "/sessions/{session}/fork", {"up_to_seq": 1}, {}),
]


def main(only: list[str]) -> None:
    """Prints the table."""
    if shutil.which("wrk") is None:
        sys.exit("the benchmarks need wrk: apt-get install wrk")
    requests.ROUNDS = ROUNDS
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp")))
        dsn = stack.enter_context(embedded.running(home, "amplifier-api"))
        migrate.migrate(dsn)
        key, sessions, _, _ = asyncio.run(requests._seed(dsn))
        token = jwt.encode({"sub": USER, "exp": int(time.time()) + 36000}, requests.SECRET, "HS256")
        headers = {"X-API-Key": key, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        environ = {"DATABASE_URL": dsn, "AUTH_REQUIRED": "true", "SECRET_KEY": requests.SECRET}
        port = stack.enter_context(requests._server(None, environ))
        rate = partial(requests._wrk, port)
        configs = [_created(port, headers) for _ in sessions]
        print(f"{'change / append':34}{'a second':>10}{'beside':>10}{'ratio':>8}   spread")
        beside = partial(rate, _script(home, headers, sessions, configs, "append", *_APPEND, {}))
        for change in CHANGES:
            if not only or any(word in change[0] for word in only):
                script = _script(home, headers, sessions, configs, *change)
                requests._compare(change[0], partial(rate, script), beside)


def _created(port: int, headers: dict[str, str]) -> str:
    """Creates a config and returns its id."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/configs", json.dumps(_CONFIG).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["config_id"])


def _script(
    home: Path,
    headers: dict[str, str],
    sessions: list[str],
    configs: list[str],
    title: str,
    method: str,
    path: str,
    sent: object | None,
    more: dict[str, str],
) -> Path:
    """Returns a wrk script that sends one kind of request, to the sessions in turn."""
    body = "nil" if sent is None else f'([==[{json.dumps(sent)}]==]):gsub("@", number)'
    lines = [
        f"local sessions = {{{', '.join(json.dumps(one) for one in sessions)}}}",
        f"local configs = {{{', '.join(json.dumps(one) for one in configs)}}}",
        "math.randomseed(os.time())",
        "local turn, run = 0, math.random(1, 1000000000) .. '-'",
        *(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()),
        "request = function()",
        "  turn = turn + 1",
        "  local number, session = run .. turn, sessions[turn % #sessions + 1]",
        "  local config = configs[turn % #configs + 1]",
        *(f"  wrk.headers[{json.dumps(name)}] = number" for name in more),
        f'  local path = ({json.dumps(path)}):gsub("{{session}}", session):gsub("{{config}}", config)',
        '  path = path:gsub("@", number)',
        f"  local body = {body}",
        f"  return wrk.format({json.dumps(method)}, path, nil, body) end",
    ]
    file = home / f"{title.replace(' ', '-')}.lua"
    file.write_text("\n".join(lines))
    return file


if __name__ == "__main__":
    main(sys.argv[1:])
