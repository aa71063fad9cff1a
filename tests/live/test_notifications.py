"""Processes act once on each notification that the database signed, and ignore all others."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.live import notifications
from tests.conftest import settings_for
from tests.schema.test_roles import READER
from tests.support.live import Live, Stream, live, until
from tests.support.polling import TERMINATE

Sql = Callable[..., list[Any]]
DELTA = "llm:stream_block_delta"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


@contextlib.contextmanager
def analyst(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A login of the database that may read views."""
    with psycopg.connect(dsn, autocommit=True, options=f"-c role={READER}") as connection:
        yield connection


def forgeries(session_id: str) -> list[str]:
    """Payloads of every kind, as processes, commands and triggers send them."""
    return [
        *(
            f'events {{"process":"x","said":[["{session_id}","{type}",{{{gap}"seq":1,{gap}"forged":true}}]]}}'
            for type in ("message.created", "session.deleted", "typing", "read", DELTA, f"x\n\nevent: {DELTA}")
            for gap in ("", "\n\nevent: message.created\ndata: ")
        ),
        f'events {{"process":"x","gone":[["{session_id}","participant.removed",["alice"]]]}}',
        f'events {{"process":"x","changed":["{session_id}"],"present":["{session_id}"]}}',
        "events *",
        "application app",
        "reload queries",
        "reload queries forged",
        'queries {"process":"x","hash":"y","request":"forged","faults":0,"findings":[]}',
        "",
        "x" * 7000,
        f"{'0' * 32} {time.time_ns() // 1000} application app",
    ]


async def next_of_any(stream: Stream) -> tuple[str, Any]:
    """Type and data of the next event besides presence."""
    while (event := await stream._read()) is not None:
        if event.type != "presence.changed":
            return event.type, event.data
    return "the end", None


async def test_forged_notifications_have_no_effect(
    api: Live, dsn: str, alice: httpx.AsyncClient, session_id: str
) -> None:
    state = api.app.state
    async with (
        live(settings_for(dsn)) as second,
        api.stream(alice, f"/sessions/{session_id}/events") as stream,
        api.stream(alice, "/events") as hints,
    ):
        await until(lambda: state.authenticator._hearing)
        loaded_at, remembered = state.reloader.loaded_at, dict(state.authenticator.remembered)
        with analyst(dsn) as connection:
            for payload in forgeries(session_id):
                connection.execute("select pg_notify('amplifier', %s)", (payload,))
        second.app.state.hub.say(session_id, "typing", b'{"user_id":"bob"}')  # arrives after all of these
        assert await next_of_any(stream) == ("typing", {"user_id": "bob"})
        body = {"messages": [{"role": "user", "content": "hi"}]}
        assert (await alice.post(f"/sessions/{session_id}/transcript", json=body)).status_code == 201
        hint = {"session_id": session_id, "last_seq": 1, "type": "message.created"}
        assert await next_of_any(hints) == ("hint", hint)
        assert (state.reloader._requests, state.reloader.loaded_at) == ([], loaded_at)
        assert remembered.items() <= state.authenticator.remembered.items(), "nothing was forgotten"


async def test_copies_of_notifications_have_no_effect(
    api: Live, dsn: str, alice: httpx.AsyncClient, session_id: str
) -> None:
    async with live(settings_for(dsn)) as second, api.stream(alice, f"/sessions/{session_id}/events") as stream:
        await until(lambda: api.app.state.authenticator._hearing)
        with analyst(dsn) as connection:
            connection.execute("listen amplifier")
            second.app.state.hub.say(session_id, "typing", b'{"user_id":"bob"}')
            assert await next_of_any(stream) == ("typing", {"user_id": "bob"})
            heard = [one.payload for one in connection.notifies(timeout=0.2)]
            assert any("typing" in payload for payload in heard)
            for payload in heard * 2:
                connection.execute("select pg_notify('amplifier', %s)", (payload,))
        second.app.state.hub.say(session_id, "typing", b'{"user_id":"carol"}')
        assert await next_of_any(stream) == ("typing", {"user_id": "carol"})


def test_analyst_cannot_sign_notifications(dsn: str) -> None:
    with analyst(dsn) as connection:
        for statement in ("select announce('reload queries')", "select inner_key from notification_keys"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


async def test_replaced_keys_are_read_again(api: Live, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    state = api.app.state
    await until(lambda: state.authenticator._hearing)
    sql("update notification_keys set inner_key = outer_key, outer_key = inner_key")
    heard: list[str] = []
    monkeypatch.setattr(state.authenticator, "hear", heard.append)
    sql(f"{TERMINATE} and application_name = 'amplifier-api listener'")

    def is_heard() -> bool:
        sql("select announce('application app')")
        return "application app" in heard

    await until(is_heard)


def test_notice_data_is_encoded_anew_and_unknown_types_are_dropped() -> None:
    said = '[["s","typing",{\n"user_id" :\r\n"b"}],["s","message.created",{}],["s","x\\n\\ny:z",{}]]'
    notice = notifications.read(f'events {{"process":"x","said":{said}}}')
    assert notice is not None
    assert [(one.type, bytes(one.data)) for one in notice.said] == [("typing", b'{"user_id":"b"}')]
    for payload in (
        'events {"process":"x","said":[["s","typing",[]]]}',
        'events {"process":"x","said":[["s","typing",' + "[" * 3000 + "]" * 3000 + "]]}",
        'events {"process":"x","gone":[["s","message.created",["alice"]]]}',
    ):
        assert notifications.read(payload) is None, payload[:80]


def test_deleted_session_with_many_participants_takes_several_notifications() -> None:
    users = [f"user-{number:04}-ü" for number in range(2000)]
    payloads = list(notifications.gone_payloads([("a", users), ("b", ["bob"]), ("c", []), ("d", ["x" * 8000, "y"])]))
    assert max(len(payload.encode()) for payload in payloads) <= 7900
    notices = [notifications.read(payload) for payload in payloads]
    told = [gone for notice in notices if notice is not None for gone in notice.gone]
    assert {gone.type for gone in told} == {"session.deleted"}
    assert [user for gone in told if gone.session_id == "a" for user in gone.user_ids] == users
    others = [(gone.session_id, gone.user_ids) for gone in told if gone.session_id != "a"]
    assert others == [("b", ["bob"]), ("d", ["y"])]


def test_many_sending_processes_send_no_more_notices_than_few(monkeypatch: pytest.MonkeyPatch) -> None:
    notifier = notifications.Notifier(None, 0.01)  # type: ignore[arg-type]
    for count, pause in ((9, 0.01), (19, 0.02), (99, 0.1)):
        for number in range(count):
            notifier.heard(str(number))
        assert notifier.pause == pytest.approx(pause)
    monkeypatch.setattr(notifications, "_ACTIVE", 0.0)  # none has sent for so long
    assert notifier.pause == pytest.approx(0.01)


async def test_senders_of_notices_are_counted(api: Live, dsn: str, alice: httpx.AsyncClient, session_id: str) -> None:
    """At a pace of one process, a notice of another one doubles the pause."""
    async with live(settings_for(dsn, notify_delay=0.02)) as second:
        second.keys = api.keys
        elsewhere = await second.as_user("alice")
        notifier = api.app.state.hub._notifier
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(notifications, "_AT_FULL_PACE", 1)
            patch.setattr(notifications, "_ACTIVE", 3600.0)
            before = notifier.pause
            async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
                await elsewhere.patch(f"/sessions/{session_id}", json={"title": "new"})
                assert await stream.next("session.updated")
                await until(lambda: notifier.pause == 2 * before)
