"""Finds the address of the client behind the proxies of FORWARDED_ALLOW_IPS.

Only what a trusted peer forwards is believed, hop by hop from the nearest proxy on: further left in X-Forwarded-For
stands whatever the client wrote.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

_LONGEST = 64  # characters of an address with a zone and a port; longer texts are kept in no cache

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """The trusted proxies: networks, and with `*` also the peer of every connection, whatever its address."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._trusts_peer = "*" in proxies
        self._networks = [ipaddress.ip_network(proxy) for proxy in proxies if proxy != "*"]
        self.is_proxy = lru_cache(4096)(self._is_proxy)

    def restore_client(self, scope: Any) -> None:
        """Puts the address of the client in place of that of the nearest proxy, if the peer is a trusted one."""
        peer = scope.get("client")
        found = _address(peer[0]) if peer else None
        if not (self._trusts_peer or (found is not None and self.is_proxy(found))):
            return
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        client = self._client(forwarded.decode("latin-1")) if forwarded else None
        if client is not None:
            scope["client"] = (str(client), 0)

    def _client(self, forwarded: str) -> Address | None:
        """Returns the last address that is no proxy, or the first one if all are; None if the last is no address.

        An entry that is no address ends the search: nothing left of it was written by a proxy that is trusted.
        """
        client = None
        for text in reversed(forwarded.split(",")):
            address = _address(text.strip()[: _LONGEST + 1])
            if address is None:
                break
            client = address
            if not self.is_proxy(address):
                break
        return client

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


@lru_cache(4096)
def _address(text: str) -> Address | None:
    """Returns the address in `text`, which may have a port; None for anything else.

    An IPv4 address is returned as such also where a socket of both families shows it as IPv6.
    """
    if len(text) > _LONGEST:
        return None
    host = text.partition("]")[0].removeprefix("[") if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
