"""The lines of all loggers: their fields, the request that they belong to, and what is masked in them."""

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from amplifier.secret import Secret
from amplifier.telemetry import logs, tracing
from amplifier.telemetry.served import Served
from tests.conftest import Api, assert_problem
from tests.support.spans import Spans

logger = logging.getLogger("amplifier.tests")
Sql = Callable[..., list[Any]]


@pytest.fixture(autouse=True)
def _levels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restores the loggers and the handler of the process."""
    loggers = [logging.getLogger(name) for name in (None, "amplifier", "uvicorn", "uvicorn.access")]
    before = [(one, one.level, one.propagate, list(one.handlers)) for one in loggers]
    monkeypatch.setattr(logs, "_handler", None)
    yield
    for one, level, propagate, handlers in before:
        one.setLevel(level)
        one.propagate, one.handlers = propagate, handlers


def configured(monkeypatch: pytest.MonkeyPatch, format_: logs.Format = "json", level: str = "info") -> io.StringIO:
    """Configures the log of this process. Returns what it writes."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(format_, level)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Returns the lines so far, decoded."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_line_has_time_level_logger_and_message(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch)
    logger.info("done: %s", "\n{}", extra={"fields": {"rows": 2}})
    logging.getLogger("uvicorn.error").warning("started", extra={"color_message": "\x1b[1mstarted"})
    first, second = lines(stream)
    assert first.pop("time").endswith("Z")
    assert first == {"level": "info", "logger": "amplifier.tests", "message": "done: \n{}", "rows": 2}
    assert (second["logger"], second["message"], len(second)) == ("uvicorn", "started", 4)


def test_text_line_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch, "text")
    logger.warning("a\n2026-01-01T00:00:00.000Z INFO forged")
    assert stream.getvalue().endswith("Z WARNING amplifier.tests: a\\n2026-01-01T00:00:00.000Z INFO forged\n")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(("level", "library"), [("debug", "WARNING"), ("info", "WARNING"), ("error", "ERROR")])
def test_libraries_are_quiet(monkeypatch: pytest.MonkeyPatch, level: str, library: str) -> None:
    configured(monkeypatch, level=level)
    assert logging.getLogger("amplifier.anything").getEffectiveLevel() == logging.getLevelName(level.upper())
    for name in ("openai", "httpx", "httpcore", "yoyo", "asyncio", "websockets", "asyncpg"):
        assert logging.getLogger(name).getEffectiveLevel() >= logging.getLevelName(library), name
    assert not logging.getLogger("uvicorn.access").propagate


def test_secrets_are_masked_in_message_arguments_and_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch)
    known = Secret("canary of a setting")
    try:
        raise ValueError(f"not {known.reveal()}")
    except ValueError as error:
        logger.exception("%r %s", error, f"Bearer {'x' * 40}")
    [line] = lines(stream)
    assert line["message"] == "ValueError('not ***') Bearer ***"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("\nValueError: not ***\n")
    assert "canary" not in stream.getvalue()


def test_long_messages_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch)
    logger.error("a" * 10_000_000)
    assert len(stream.getvalue()) < 10_000


def test_record_whose_arguments_do_not_fit_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch)
    logger.error("%d rows", "no number")
    logger.error("next")
    assert [line["message"] for line in lines(stream)] == ["next"]


async def test_lines_within_a_request_have_its_id_and_caller(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql("alter table messages add constraint messages_of_an_operator_check check (message ->> 'content' <> 'canary')")
    stream = configured(monkeypatch)
    access_log = logs.access_log("info")
    assert access_log is not None
    monkeypatch.setattr(api.app, "observers", [access_log])
    body = {"messages": [{"role": "user", "content": "canary"}]}
    answer = await alice.post(f"/sessions/{session_id}/transcript", json=body)
    problem = assert_problem(answer, 500)
    fault, access = lines(stream)
    assert fault["message"] == f"request {problem['request_id']} failed"
    assert "messages_of_an_operator_check" in fault["exception"]
    assert "canary" not in stream.getvalue()
    for line in (fault, access):
        assert line["request_id"] == answer.headers["x-request-id"] == problem["request_id"]
        assert (line["app_id"], line["user_id"], line["session_id"]) == ("app", "alice", session_id)
    assert (access["level"], access["status"]) == ("warning", 500)


def test_access_log_keeps_its_thread_when_the_log_is_configured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch)
    access_log = logs.access_log("info")
    stream = configured(monkeypatch)
    reading, writing = os.pipe()
    monkeypatch.setattr(stream, "fileno", lambda: writing)
    with logs.background():
        logger.info("one")
        assert access_log is not None
        access_log(Served({"method": "GET", "headers": [], "state": {"status": 200}}))
    os.close(writing)
    with os.fdopen(reading) as written:
        assert [json.loads(line)["message"] for line in written] == ["one", "GET none 200"]
    assert stream.getvalue() == ""


def test_without_configuration_there_is_no_access_log() -> None:
    assert logs.access_log("info") is None
    assert logs.has_json() is None
    with logs.background():
        pass


def test_lines_name_the_innermost_span(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch)
    with tracing.entered(spans.tracer().run(None)) as span:
        assert span is not None
        logger.warning("of a run")
    logger.warning("of nothing")
    run, nothing = lines(stream)
    ids = (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")
    assert (run["trace_id"], run["span_id"]) == ids
    assert "trace_id" not in nothing
