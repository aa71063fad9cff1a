"""Checks the Host of a request and the web page that sends it.

No browser sends our credentials by itself, because they are headers. With authentication off there are none: a foreign
page could call a service on its visitor's machine, under a name that resolves to 127.0.0.1 (DNS rebinding), or by a
request that browsers send without a preflight. Routes without authentication are not guarded: probes call them by
address.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Any

from amplifier.errors import Problem
from amplifier.settings import Settings

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d{0,5})?\Z")
_ALWAYS = ("localhost", "127.0.0.1", "[::1]")
_READING = ("GET", "HEAD", "OPTIONS")

Headers = Iterable[tuple[bytes, bytes]]


class Gate:
    """Refuses requests by their Host, and with authentication off also by the page that sends them."""

    def __init__(self, hosts: Iterable[str] | None, origins: Sequence[str], guards_changes: bool) -> None:
        """`hosts` is None if any host is allowed; `guards_changes` says whether pages are checked, too."""
        self._hosts = None if hosts is None else frozenset(_normal(host) for host in hosts)
        self._origins, self._guards_changes = origins, guards_changes

    def admit(self, scope: Any, is_stream: bool = False) -> None:
        """Raises Problem 421 for a foreign host, and 403 for a change or a stream that a foreign page requests."""
        headers = scope["headers"]
        if self._hosts is not None and not self._is_ours(headers):
            raise Problem(
                421, "The service does not answer to this Host: call it as localhost, or add the host to ALLOWED_HOSTS"
            )
        if not self._guards_changes or (scope.get("method") in _READING and not is_stream):
            return
        if is_foreign(headers, self._origins):
            raise Problem(403, "Pages of this origin may not do this: add the origin to ALLOWED_ORIGINS")

    def _is_ours(self, headers: Headers) -> bool:
        given = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        match = _HOST.match(given[0]) if len(given) == 1 else None
        return match is not None and match[1] in self._hosts  # type: ignore[operator]


def gate(settings: Settings) -> Gate | None:
    """Returns the gate that the settings require, or None if every request passes."""
    anybody = "*" in settings.hosts or (settings.auth_required and not settings.hosts)
    if anybody and settings.auth_required:
        return None
    own = [] if _is_unspecified(settings.service_host) else [settings.service_host]
    hosts = None if anybody else [*_ALWAYS, *own, *settings.hosts]
    return Gate(hosts, settings.origins, not settings.auth_required)


def is_foreign(headers: Headers, origins: Sequence[str]) -> bool:
    """Returns whether a browser sent the request for a page that is neither the service's own nor of `origins`."""
    found = dict(headers)
    origin = found.get(b"origin", b"").decode("latin-1")
    if not origin:
        return found.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
    is_ours = origin.partition("://")[2] == found.get(b"host", b"").decode("latin-1")
    return not is_ours and origin not in origins and "*" not in origins


def _normal(host: str) -> str:
    """Returns a host in the form of a Host header."""
    return f"[{host}]".lower() if ":" in host and not host.startswith("[") else host.lower()


def _is_unspecified(host: str) -> bool:
    """Returns whether the address means all addresses of the machine; clients do not call it by that one."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
