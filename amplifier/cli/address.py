"""The address that the service listens on: its URL, and whether it can be had."""

import errno
import socket

from amplifier.errors import OperatorError
from amplifier.settings import Settings

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on


def url(settings: Settings, metrics: bool = False) -> str:
    """Returns the URL of the service, or of its metrics, for a client on this machine."""
    host, port = settings.service_host, settings.service_port
    if metrics:
        host, port = settings.metrics_address, settings.metrics_port or 0
    if host in _EVERYWHERE:
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_everywhere(settings: Settings) -> bool:
    """Returns whether the service listens on all addresses of the machine."""
    return settings.service_host in _EVERYWHERE


def refuse_taken(settings: Settings) -> None:
    """Raises OperatorError if no process of this user can listen on the addresses of service and metrics now.

    Asked before a start makes a database, which takes seconds. It binds as uvicorn will and listens on nothing.
    """
    _refuse(settings.service_host, settings.service_port, "SERVICE")
    if settings.metrics_port is not None:
        _refuse(settings.metrics_address, settings.metrics_port, "METRICS")


def _refuse(host: str, port: int, prefix: str) -> None:
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        refusals = [_refusal(family, address) for family, _, _, _, address in addresses]
    except OSError as error:
        raise OperatorError(f"{prefix}_HOST={host} is no address of this machine: {error.strerror}") from None
    if errno.EADDRINUSE in refusals:
        raise OperatorError(
            f"{host}:{port}: address already in use: stop the process that listens there, or set {prefix}_PORT"
        )
    if errno.EACCES in refusals:
        raise OperatorError(f"{host}:{port}: this user may not listen there: set {prefix}_PORT to 1024 or more")
    if None not in refusals:
        raise OperatorError(f"{prefix}_HOST={host} is no address of this machine: set it to one, or to 127.0.0.1")


def _refusal(family: int, address: tuple[object, ...]) -> int | None:
    """Returns the number of the system's error when it refuses the address, or None."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
    except OSError as error:
        return error.errno
    return None
