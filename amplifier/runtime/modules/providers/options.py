"""Validates the config of a provider with an HTTP API when it is mounted.

The addresses that the operator allows are checked in `runtime/mount_plan.py`.
"""

import re
from collections.abc import Hashable
from typing import Annotated, Any

import httpx2
import msgspec
from amplifier_core import ConfigurationError

Count = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e\t]{0,8000}")
# these headers determine the recipient or the length of the request
_REFUSED = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"}
_SECRET_LENGTH = 4  # characters; shorter values of headers are words that any message may contain


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The config of a provider. Other keys are ignored."""

    api_key: Annotated[str, msgspec.Meta(min_length=1)]
    base_url: Annotated[str, msgspec.Meta(max_length=2000)]
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    max_tokens: Count | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=5)] = 2
    default_headers: Annotated[dict[str, str], msgspec.Meta(max_length=50)] = {}
    api_version: Annotated[str, msgspec.Meta(pattern=r"^[\w.-]{1,50}$")] | None = None
    context_window: Count | None = None
    thinking: dict[str, Any] | None = None
    vision: bool = True
    audio: bool = False
    cache: bool = True
    send_reasoning: bool | None = None
    priority: float = 100

    def identity(self) -> Hashable:
        """Returns the options that a shared client depends on."""
        return self.api_key, self.base_url, self.api_version, tuple(sorted(self.default_headers.items()))

    def secrets(self) -> list[str]:
        """Returns the texts that no message may contain, the longest first."""
        values = [value for value in self.default_headers.values() if len(value) >= _SECRET_LENGTH]
        bare = [value.split(" ", 1)[1] for value in values if value.lower().startswith(("bearer ", "basic "))]
        return sorted({self.api_key, *values, *filter(None, bare)}, key=len, reverse=True)


def read(provider: str, base_url: str, config: dict[str, Any] | None) -> Options:
    """Returns the options in `config`, which is untrusted input of a tenant.

    Raises ConfigurationError, which tells the author what is wrong and contains no value of the config.
    """
    given = {key: value for key, value in (config or {}).items() if value is not None}
    given = {"base_url": base_url, "model": given.get("default_model")} | given
    try:
        if given["model"] is None:
            raise msgspec.ValidationError("Object missing required field `model`")
        options = msgspec.convert(given, Options)
        _check_headers(options)
        _check_address(options.base_url)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"provider-{provider}: {error}", provider=provider) from None
    return options


def _check_headers(options: Options) -> None:
    if not _VALUE.fullmatch(options.api_key) or options.api_key != options.api_key.strip():
        raise msgspec.ValidationError("`api_key` must be printable ASCII, without spaces around it")
    for name, value in options.default_headers.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise msgspec.ValidationError("`default_headers` must be names and values of HTTP headers, in ASCII")
        if name.lower() in _REFUSED or name.lower().startswith("proxy-"):
            raise msgspec.ValidationError(f"`default_headers` must not set {name.lower()}")


def _check_address(base_url: str) -> None:
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL:
        raise msgspec.ValidationError("`base_url` is no address") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise msgspec.ValidationError("`base_url` must begin with https:// or http:// and name a host")
    if url.port is not None and not 0 < url.port < 65536:
        raise msgspec.ValidationError("`base_url` has no port that exists")
    if url.userinfo or url.query or url.fragment or "?" in base_url or "#" in base_url:
        raise msgspec.ValidationError("`base_url` must have no user, query or fragment")
