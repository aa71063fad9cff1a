"""Makes the exporters of OpenTelemetry's SDK and of Application Insights, and describes this process to them."""

from typing import Any

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from amplifier import __version__
from amplifier.telemetry.targets import Target

SCOPE = "amplifier"
_LIMIT = 10.0  # seconds for a request to Application Insights with all its repetitions


def resource(process_id: str) -> Resource:
    """Returns the attributes of this process, with those of OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES."""
    own = {"service.name": "amplifier-api", "service.version": __version__, "service.instance.id": process_id}
    given = OTELResourceDetector().detect().attributes
    return Resource.create({name: value for name, value in own.items() if name not in given})


def exporter(target: Target) -> Any:
    """Returns the exporter for a target."""
    return _otlp(target) if target.connection_string is None else _insights(target)


def _otlp(target: Target) -> Any:
    if target.signal == "traces":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    if target.signal == "metrics":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter()
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter()


def _insights(target: Target) -> Any:
    from azure.monitor.opentelemetry import exporter as insights

    kinds = {
        "traces": insights.AzureMonitorTraceExporter,
        "metrics": insights.AzureMonitorMetricExporter,
        "logs": insights.AzureMonitorLogExporter,
    }
    return kinds[target.signal](
        connection_string=target.connection_string,
        disable_offline_storage=True,  # it would write to the disk, which is read-only in a container
        read_timeout=_LIMIT,
        timeout=_LIMIT,
        retry_total=2,
    )
