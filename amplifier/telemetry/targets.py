"""Where traces, metrics and logs are sent, from APP_INSIGHTS_CONNECTION_STRING and OpenTelemetry's own variables.

Nothing of OpenTelemetry is imported here; `exporting.py` does that, if there is a target.
"""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal, NamedTuple, TypeAlias, get_args
from urllib.parse import unquote, urlsplit

from amplifier.errors import OperatorError
from amplifier.secret import Secret
from amplifier.telemetry.sampling import sampler

Signal: TypeAlias = Literal["traces", "metrics", "logs"]

SIGNALS: tuple[Signal, ...] = get_args(Signal)
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PREFIX = "OTEL_"
_OFF = "none"


class Target(NamedTuple):
    """One receiver of a signal. `address` may be shown. `connection_string` is that of Application Insights."""

    signal: Signal
    address: str
    connection_string: str | None = None


def adopt(values: Mapping[str, str | None]) -> None:
    """Puts OpenTelemetry's variables of a `.env` file into the environment, where its SDK reads them."""
    for name, value in values.items():
        if name.startswith(_PREFIX) and value:
            os.environ.setdefault(name, value)


def targets(connection_string: Secret | None, environ: Mapping[str, str] | None = None) -> list[Target]:
    """Returns the receivers. Raises OperatorError for variables that are wrong, and if an extra is missing."""
    given = os.environ if environ is None else environ
    if given.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    wanted = [signal for signal in SIGNALS if _is_wanted(given, signal)]
    found = [Target(signal, address) for signal in wanted if (address := _endpoint(given, signal))]
    if found:
        _check_otlp(given)
        _demand("opentelemetry.exporter.otlp.proto.http", "telemetry", _ENDPOINT)
    if connection_string is not None:
        text = connection_string.reveal().strip().rstrip(";")
        address = _ingestion(text)
        _demand("azure.monitor.opentelemetry.exporter", "azure", "APP_INSIGHTS_CONNECTION_STRING")
        found += [Target(signal, address, text) for signal in wanted]
    if found:
        sampler(given)
        _check_queues(given)
    return found


def header_secrets(environ: Mapping[str, str]) -> list[Secret]:
    """Returns the values of OTEL_EXPORTER_OTLP_HEADERS as secrets, which logs mask for as long as they are kept."""
    names = [name for name in environ if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS")]
    values = [item.partition("=")[2].strip() for name in names for item in environ[name].split(",")]
    return [Secret(text) for value in values if value for text in {value, unquote(value), *unquote(value).split()}]


def _is_wanted(environ: Mapping[str, str], signal: Signal) -> bool:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    exporter = environ.get(name, "").strip().lower()
    if exporter not in ("", "otlp", _OFF):
        raise OperatorError(f"{name} must be otlp or none, not {exporter!r}")
    return exporter != _OFF


def _endpoint(environ: Mapping[str, str], signal: Signal) -> str | None:
    """Returns scheme, host and port of the collector of a signal. Paths and queries may have keys."""
    name = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    name = name if environ.get(name) else _ENDPOINT
    text = environ.get(name, "")
    if not text:
        return None
    address = _shown(text)
    if address is None:
        raise OperatorError(f"{name} must be the http(s) address of a collector, such as http://127.0.0.1:4318")
    return address


def _check_otlp(environ: Mapping[str, str]) -> None:
    names = ["OTEL_EXPORTER_OTLP_PROTOCOL", *(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL" for signal in SIGNALS)]
    for name in names:
        if environ.get(name, "http/protobuf") not in ("", "http/protobuf"):
            raise OperatorError(
                f"{name} must be http/protobuf, not {environ[name]!r}: give the collector's address for HTTP "
                "(usually port 4318)"
            )


def _check_queues(environ: Mapping[str, str]) -> None:
    """Raises OperatorError for sizes that the SDK refuses."""
    for prefix in ("OTEL_BSP", "OTEL_BLRP"):
        sizes = []
        for name, default in ((f"{prefix}_MAX_QUEUE_SIZE", "2048"), (f"{prefix}_MAX_EXPORT_BATCH_SIZE", "512")):
            text = environ.get(name) or default
            if not text.isdecimal() or not int(text):
                raise OperatorError(f"{name} must be a whole number above 0, not {text!r}")
            sizes.append(int(text))
        if sizes[1] > sizes[0]:
            raise OperatorError(f"{prefix}_MAX_EXPORT_BATCH_SIZE must not exceed {prefix}_MAX_QUEUE_SIZE")


def _ingestion(text: str) -> str:
    """Returns the address to which a connection string sends. Raises OperatorError without showing it."""
    parts = {name.strip().lower(): value for name, _, value in (item.partition("=") for item in text.split(";"))}
    suffix = parts.get("endpointsuffix")
    default = f"https://dc.{suffix}" if suffix else "https://dc.services.visualstudio.com"
    address = _shown(parts.get("ingestionendpoint", default))
    if text.count("=") != len(parts) or not _KEY.fullmatch(parts.get("instrumentationkey", "")) or address is None:
        raise OperatorError(
            "APP_INSIGHTS_CONNECTION_STRING must be the connection string of an Application Insights resource, "
            "InstrumentationKey=...;IngestionEndpoint=https://...: copy it from the resource's overview in the portal"
        )
    return address


def _shown(text: str) -> str | None:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        return None
    if url.scheme not in ("http", "https") or not host:
        return None
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"


def _demand(module: str, extra: str, setting: str) -> None:
    try:
        is_there = find_spec(module) is not None
    except ImportError:
        is_there = False
    if not is_there:
        raise OperatorError(f"{setting} needs the extra {extra}: pip install 'amplifier-api[{extra}]'")
