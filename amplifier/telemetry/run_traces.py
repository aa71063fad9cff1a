"""The spans of runs, model calls and tool calls, with the attributes of OpenTelemetry for generative AI.

They name models, tools and reasons, and count tokens. What people, models and tools say is never in them.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from amplifier.telemetry import tracing
from amplifier.telemetry.trace_context import TraceContext
from amplifier.telemetry.tracing import Kind, Span

# Names come from configs and from models. Longer or other texts are not names, and are left out.
_NAME = re.compile(r"[\w.:/@+=-]{1,100}", re.ASCII)
_CONVERSATION = "gen_ai.conversation.id"
_ANSWERED = "gen_ai.response.model"
_TOKENS = {"input_tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens"}

# The id that the model gave to the tool call of the task.
call_id: ContextVar[str | None] = ContextVar("call_id", default=None)


@contextmanager
def run(origin: TraceContext | None, session_id: str, run_id: str) -> Iterator[Span | None]:
    """Traces a run within the context. `origin` is the span of the request that sent its message."""
    tracer = tracing.tracer
    span = None if tracer is None else tracer.run(origin)
    if span is not None:
        span.name = "invoke_agent"
        span.attributes = {
            "gen_ai.operation.name": "invoke_agent",
            _CONVERSATION: session_id,
            "amplifier.run_id": run_id,
        }
    with tracing.entered(span):
        yield span


def note_outcome(span: Span | None, status: str, failure: str | None, usage: Mapping[str, int]) -> None:
    """Adds how a run ended: its status, the type of its failure, and what it used."""
    if span is not None:
        span.attributes["amplifier.run_status"] = status
        span.attributes |= {_TOKENS[name]: usage[name] for name in _TOKENS if name in usage}
        span.error = failure if status == "failed" else None


@contextmanager
def model_call(provider: str, model: object) -> Iterator[Span | None]:
    """Traces a call of a model within the context."""
    with tracing.entered(_inner("chat", "client", _named(model))) as span:
        if span is not None:
            span.attributes |= _known({"gen_ai.provider.name": provider, "gen_ai.request.model": model})
        yield span


def note_answer(span: Span | None, response: Any, finish_reason: str | None) -> None:
    """Adds the tokens of a model's answer, and the reason of its end."""
    if span is None:
        return
    usage = getattr(response, "usage", None)
    for name, attribute in _TOKENS.items():
        if isinstance(count := getattr(usage, name, None), int):
            span.attributes[attribute] = count
    if _named(finish_reason):
        span.attributes["gen_ai.response.finish_reasons"] = [str(finish_reason)]


def note_model(model: object) -> None:
    """Adds the name of the model that answered, as the server says it."""
    span = tracing.current.get()
    if span is not None and _ANSWERED not in span.attributes:
        span.attributes |= _known({_ANSWERED: model})


@contextmanager
def tool_call(name: str) -> Iterator[Span | None]:
    """Traces the execution of a tool within the context."""
    with tracing.entered(_inner("execute_tool", "internal", _named(name))) as span:
        if span is not None:
            span.attributes |= _known({"gen_ai.tool.name": name, "gen_ai.tool.call.id": call_id.get()})
        yield span


def note_result(span: Span | None, result: Any) -> None:
    """Marks the span of a tool that says that it failed."""
    if span is not None and getattr(result, "success", True) is False:
        span.error = "tool_error"


def _inner(operation: str, kind: Kind, name: str) -> Span | None:
    """Returns a span within the current one, which it takes the conversation from."""
    span = tracing.inner(f"{operation} {name}".rstrip(), kind)
    if span is not None:
        outer = tracing.current.get()
        span.attributes["gen_ai.operation.name"] = operation
        if outer is not None and _CONVERSATION in outer.attributes:
            span.attributes[_CONVERSATION] = outer.attributes[_CONVERSATION]
    return span


def _named(text: object) -> str:
    """Returns the text if it is a name, else an empty one."""
    return text if isinstance(text, str) and _NAME.fullmatch(text) else ""


def _known(texts: Mapping[str, object]) -> dict[str, str]:
    """Returns the attributes whose values are names."""
    return {key: name for key, value in texts.items() if (name := _named(value))}
