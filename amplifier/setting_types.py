"""The types of settings, with descriptions for error messages, and parsers of lists and networks."""

import ipaddress
from typing import Annotated, Literal

from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65535, description="a port number from 1 to 65535")]
Ports = Annotated[
    str,
    Meta(
        pattern=r"^(([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])(,(?!$)|$))+$",
        description="a port number from 1 to 65535, or one for each host, separated by commas",
    ),
]
Seconds = Annotated[float, Meta(gt=0, le=3600, description="a number of seconds, above 0 and at most 3600")]
Count = Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")]
Flag = Annotated[bool, Meta(description="true or false")]
Text = Annotated[str, Meta(min_length=1, description="text")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], Meta(description="debug, info, warning or error")]
LogFormat = Annotated[Literal["text", "json"], Meta(description="text or json")]
SslMode = Annotated[
    Literal["disable", "prefer", "require", "verify-ca", "verify-full"],
    Meta(description="disable, prefer, require, verify-ca or verify-full"),
]
Delay = Annotated[float, Meta(ge=0, le=3600, description="a number of seconds, from 0 to 3600")]
RootPath = Annotated[str, Meta(pattern=r"^((/[A-Za-z0-9._~-]+)+/?|/?)$", description="a path that begins with a slash")]
Issuer = Annotated[
    str,
    Meta(
        pattern=r"^(https://[A-Za-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:\d{1,5})?(/[^?#@;,\s]*)?$",
        description="an https address, or an http one of this machine",
    ),
]
Hosts = Annotated[
    str,
    Meta(
        pattern=r"^(\s*(\*|[A-Za-z0-9_.-]+|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]+\]?)\s*(,|$))*$",
        description="host names separated by commas, without ports, or *",
    ),
]


def items(text: str) -> list[str]:
    """Returns the items of a list separated by commas, without empty ones."""
    return [item.strip() for item in text.split(",") if item.strip()]


def is_network(text: str) -> bool:
    """Returns whether `text` is an address, or a network without host bits, as uvicorn demands."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
