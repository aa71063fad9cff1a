"""Makes a user's ordinary requests, one after the other: `python -m tests.support.neighbour URL`.

Credentials come in the variable CREDENTIALS, a JSON object of headers. Prints a line of JSON for each request (its
name, the status, the seconds it took) until standard input ends. A process of its own, so that work of the test's
process delays no measurement.
"""

import json
import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx

LIMIT = 60.0  # seconds until a request is given up
ECHO = {"bundle": {"name": "neighbour"}, "providers": [{"module": "provider-echo"}]}


class Neighbour:
    """A user with a session that has an agent."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._client = httpx.Client(base_url=url, headers=headers, timeout=LIMIT, verify=False)
        config = self._client.post("/configs", json={"name": "echo", "config_data": ECHO}).raise_for_status().json()
        session = self._client.post("/sessions", json={"config_id": config["config_id"]}).raise_for_status().json()
        self._path = f"/sessions/{session['session_id']}"

    def requests(self) -> Iterator[dict[str, Any]]:
        """Makes the requests of one round and yields the outcome of each."""
        message = {"messages": [{"role": "user", "content": "an ordinary message"}]}
        yield self._ask("get", "GET", self._path)
        yield self._ask("append", "POST", f"{self._path}/transcript", json=message)
        yield self._ask("read", "GET", f"{self._path}/transcript", params={"limit": 50})
        yield self._ask("list", "GET", "/sessions")
        yield self._ask("search", "GET", "/search", params={"q": "ordinary"})
        yield self._ask("agent", "POST", f"{self._path}/messages", json={"message": "Hello"})

    def _ask(self, name: str, method: str, path: str, **options: Any) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            status = self._client.request(method, path, **options).status_code
        except httpx.TransportError as error:
            status, name = 0, f"{name}: {error!r}"
        return {"request": name, "status": status, "seconds": round(time.perf_counter() - began, 3)}


def main() -> None:
    """Makes requests until standard input ends."""
    neighbour = Neighbour(sys.argv[1], json.loads(os.environ["CREDENTIALS"]))
    while not select.select([sys.stdin], [], [], 0)[0]:
        for answered in neighbour.requests():
            print(json.dumps(answered), flush=True)


if __name__ == "__main__":
    main()
