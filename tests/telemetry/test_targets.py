"""Which variables send telemetry where, and what is refused at the start."""

import os
import sys
from pathlib import Path

import pytest

from amplifier.errors import OperatorError
from amplifier.secret import Secret, known
from amplifier.setting_sources import load
from amplifier.telemetry.targets import SIGNALS, Target, header_secrets, targets

KEY = "11111111-2222-3333-4444-555555555555"
URL = "http://127.0.0.1:4318"


def receivers(**environ: str) -> list[tuple[str, str]]:
    """Returns the signals and addresses of targets without Application Insights."""
    return [(target.signal, target.address) for target in targets(None, environ)]


def test_nothing_is_sent_without_a_target() -> None:
    assert receivers() == receivers(OTEL_SERVICE_NAME="x", OTEL_TRACES_EXPORTER="otlp") == []


def test_collector_gets_every_signal_unless_turned_off() -> None:
    path = f"{URL}/a/path/with/a/key"
    assert receivers(OTEL_EXPORTER_OTLP_ENDPOINT=path) == [(signal, URL) for signal in SIGNALS]
    assert receivers(OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="https://user:pass@[::1]/x?key=y") == [("logs", "https://[::1]")]
    off = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "None"}
    assert receivers(OTEL_EXPORTER_OTLP_ENDPOINT=URL, **off) == [("logs", URL)]
    assert receivers(OTEL_EXPORTER_OTLP_ENDPOINT=URL, OTEL_SDK_DISABLED="True") == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (f"InstrumentationKey={KEY};IngestionEndpoint={URL}/;LiveEndpoint=https://live/;", URL),
        (f"instrumentationkey={KEY}", "https://dc.services.visualstudio.com"),
        (f"InstrumentationKey={KEY};EndpointSuffix=example.net", "https://dc.example.net"),
    ],
)
def test_application_insights_gets_every_signal(text: str, address: str) -> None:
    found = targets(Secret(text), {})
    assert found == [Target(signal, address, text.rstrip(";")) for signal in SIGNALS]


@pytest.mark.parametrize(
    "text", ["", "canary", "InstrumentationKey=canary", f"InstrumentationKey={KEY};canary", f"{KEY};IngestionEndpoint="]
)
def test_wrong_connection_string_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(OperatorError, match="copy it from the resource's overview") as refused:
        targets(Secret(text), {})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be the http"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[x"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be the http"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "must be http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_LOGS_EXPORTER": "console"}, "OTEL_LOGS_EXPORTER must be otlp"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_TRACES_SAMPLER": "xray"}, "OTEL_TRACES_SAMPLER must be one of"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_BSP_MAX_QUEUE_SIZE": "100"}, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE must"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_BLRP_MAX_QUEUE_SIZE": "many"}, "OTEL_BLRP_MAX_QUEUE_SIZE must be"),
    ],
)
def test_wrong_variables_are_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        targets(None, environ)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(OperatorError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT needs .* 'amplifier-api\[telemetry\]'"):
        receivers(OTEL_EXPORTER_OTLP_ENDPOINT=URL)
    monkeypatch.setitem(sys.modules, "azure.monitor", None)
    monkeypatch.setitem(sys.modules, "azure.monitor.opentelemetry", None)
    monkeypatch.setitem(sys.modules, "azure.monitor.opentelemetry.exporter", None)
    with pytest.raises(OperatorError, match=r"'amplifier-api\[azure\]'"):
        targets(Secret(f"InstrumentationKey={KEY}"), {})


def test_headers_of_otlp_are_secrets() -> None:
    kept = header_secrets({"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20the-user-and-key,x=another-key"})
    assert {"the-user-and-key", "another-key"} <= known()
    assert kept


def test_env_file_has_variables_of_opentelemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={URL}\nOTEL_SERVICE_NAME=of the file\nOTEL_TRACES_EXPORTER=\n")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of the environment")
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER"):
        monkeypatch.setenv(name, "to be removed again")
        monkeypatch.delenv(name)
    load(env_file=str(file))
    assert os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == URL
    assert os.environ["OTEL_SERVICE_NAME"] == "of the environment"
    assert "OTEL_TRACES_EXPORTER" not in os.environ
