"""Hosts on one machine: network namespaces with an address each, connected by a bridge. Needs root and iproute2."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

_PREFIX = "amp"  # of namespaces, bridges and links; then the process id of the test run: names of links are short
_OURS = re.compile(rf"\b{_PREFIX}(\d+)[a-z]*\b")
_NETWORKS = 256  # 198.18.x.0/24, of the range for tests of network devices (RFC 2544)


class Unavailable(Exception):
    """This machine gives no network namespaces. The message says why."""


class Host(NamedTuple):
    """A namespace: its name, its address, and the end of its cable that is on the machine."""

    name: str
    address: str
    link: str

    @property
    def command(self) -> tuple[str, ...]:
        """The beginning of a command that is to run on the host."""
        return ("ip", "netns", "exec", self.name)

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[None]:
        """Cuts the host off for as long as the context lasts. Packets are lost, and nobody is told."""
        _ip("link", "set", self.link, "down")
        try:
            yield
        finally:
            _ip("link", "set", self.link, "up")


class Network(NamedTuple):
    """The machine's own address on the bridge, and the hosts."""

    address: str
    hosts: list[Host]


@contextlib.contextmanager
def network(count: int) -> Iterator[Network]:
    """Makes `count` hosts, removes them at the end, and those that killed test runs left. Raises Unavailable."""
    if os.geteuid() != 0:
        raise Unavailable("network namespaces need root")
    if shutil.which("ip") is None:
        raise Unavailable("network namespaces need ip: apt-get install iproute2")
    _remove_left()
    name = f"{_PREFIX}{os.getpid()}"
    try:
        try:
            yield _made(name, count)
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"{' '.join(error.cmd)}: {error.stderr.strip()}") from error
    finally:
        _remove(name)


def _made(name: str, count: int) -> Network:
    net = _free_network()
    _ip("link", "add", name, "type", "bridge")
    _ip("address", "add", f"{net}.1/24", "dev", name)
    _ip("link", "set", name, "up")
    return Network(f"{net}.1", [_host(name, letter, f"{net}.{number + 2}") for number, letter in _letters(count)])


def _letters(count: int) -> Iterator[tuple[int, str]]:
    return enumerate("abcdefghijklmnopqrstuvwxyz"[:count])


def _host(bridge: str, letter: str, address: str) -> Host:
    host = Host(f"{bridge}{letter}", address, f"{bridge}{letter}")
    _ip("netns", "add", host.name)
    _ip("link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    _ip("link", "set", host.link, "master", bridge, "up")
    _ip("-n", host.name, "address", "add", f"{address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-n", host.name, "link", "set", device, "up")
    return host


def _free_network() -> str:
    """Returns the first three bytes of addresses that nobody here uses."""
    used = _ip("-4", "-oneline", "address")
    nets = (f"198.18.{(os.getpid() + number) % _NETWORKS}" for number in range(_NETWORKS))
    return next(net for net in nets if f" {net}." not in used)


def _remove_left() -> None:
    """Removes what belongs to processes that live no more."""
    shown = _ip("netns", "list") + _ip("-oneline", "link")
    for pid in set(_OURS.findall(shown)):
        if not os.path.exists(f"/proc/{pid}"):
            _remove(f"{_PREFIX}{pid}")


def _remove(name: str) -> None:
    """Removes a bridge and its hosts. The links go with their namespaces, when the last process in them has ended."""
    for found in re.findall(rf"\b{name}[a-z]\b", _ip("netns", "list")):
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "delete", found)
        _ip("netns", "delete", found)
    with contextlib.suppress(subprocess.CalledProcessError):
        _ip("link", "delete", name)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30)
    return done.stdout
