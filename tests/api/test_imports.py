"""Imports over HTTP: what is sent becomes sessions of the caller's, within bounds; followed, cancelled, interrupted."""

import asyncio
import contextlib
import io
import os
import sys
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from amplifier.imports import jobs as process
from amplifier.imports import statements
from amplifier.imports.jobs import Jobs
from amplifier.imports.worker import Job
from amplifier.web.spool import Space
from tests.conftest import CONFIG, Api, assert_problem, settings_for
from tests.support.live import live
from tests.support.polling import until
from tests.support.session_files import Claude, line

Sql = Callable[..., list[Any]]


def lines(session_id: str, *texts: str) -> bytes:
    """Returns a file of Claude Code with these prompts."""
    claude = Claude(session_id)
    return b"".join(line(claude.say(text)) for text in texts)


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    """Returns a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    """Returns a ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


async def sent(client: httpx.AsyncClient, content: bytes, **query: str) -> dict[str, Any]:
    """Sends an import, waits for its end and returns it."""
    response = await client.post("/imports", params=query, content=content)
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/imports/{response.json()['import_id']}"
    return await ended(client, response.json()["import_id"])


async def ended(client: httpx.AsyncClient, import_id: str) -> dict[str, Any]:
    """Returns an import when it has ended."""
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        found.update((await client.get(f"/imports/{import_id}")).json())
        return bool(found["status"] != "running")

    await until(is_over, 60)
    return found


@contextlib.contextmanager
def waiting(dsn: str, user_id: str) -> Iterator[None]:
    """Makes the imports of a user wait, as one on the command line would."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements.LOCK, (user_id,))
        yield


@contextlib.contextmanager
def held(sql: Sql, user_id: str) -> Iterator[None]:
    """Adds an import of a user that seems to run elsewhere."""
    sql(
        "insert into imports (import_id, user_id, app_id, process_id, format, size)"
        f" values ('held', '{user_id}', 'app', 'another', 'auto', 1)"
    )
    yield
    sql("delete from imports where import_id = 'held'")


async def test_file_becomes_a_session_of_the_caller(alice: httpx.AsyncClient, sql: Sql) -> None:
    result = await sent(alice, lines("s1", "a purple question", "more"), filename="s1.jsonl")
    assert (result["status"], result["detail"], result["losses"]) == ("done", None, 0)
    assert result["counts"]["claude-code"] | {"new": 1, "messages": 2} == result["counts"]["claude-code"]
    assert result["bytes_read"] == result["bytes_total"] == result["size"]
    found = (await alice.get("/search", params={"q": "purple"})).json()["items"]
    assert 1 in [one["seq"] for one in found]
    assert sql("select owner_user_id, external_id from sessions") == [("alice", "claude-code:s1")]
    again = await sent(alice, lines("s1", "a purple question", "more", "and more"), filename="s1.jsonl")
    assert (again["counts"]["claude-code"]["grown"], again["counts"]["claude-code"]["messages"]) == (1, 1)
    assert [one["import_id"] for one in (await alice.get("/imports")).json()["items"]] == [
        again["import_id"],
        result["import_id"],
    ]
    page = (await alice.get("/imports", params={"limit": 1})).json()
    rest = (await alice.get("/imports", params={"limit": 1, "cursor": page["next"]})).json()
    assert [one["import_id"] for one in rest["items"]] == [result["import_id"]]


@pytest.mark.parametrize("pack", [tar, lambda files: tar(files, "w:gz"), zipped], ids=["tar", "tar.gz", "zip"])
async def test_archive_is_read_with_its_folders(
    pack: Callable[[dict[str, bytes]], bytes], alice: httpx.AsyncClient, sql: Sql
) -> None:
    files = {"projects/shop/s1.jsonl": lines("s1", "one"), "projects/shop/s2.jsonl": lines("s2", "two") + b"{no\n"}
    result = await sent(alice, pack(files))
    assert (result["status"], result["counts"]["claude-code"]["new"], result["losses"]) == ("done", 2, 1)
    [remark] = result["remarks"]
    assert (remark["file"], remark["line"], remark["is_loss"]) == ("projects/shop/s2.jsonl", 2, True)
    assert sql("select path from session_origins order by 1") == [(name,) for name in sorted(files)]


async def test_names_and_links_in_an_archive_lead_nowhere(alice: httpx.AsyncClient, sql: Sql, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(lines("secret", "of the machine"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("link.jsonl")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)
        folder = tarfile.TarInfo("folder")
        folder.type, folder.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(folder)
        device = tarfile.TarInfo("device.jsonl")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
        for name in ("../up.jsonl", f"{tmp_path}/absolute.jsonl", "folder/inside.jsonl", "good.jsonl"):
            content = lines(name, "one")
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    result = await sent(alice, buffer.getvalue())
    assert sorted(remark["file"] for remark in result["remarks"]) == sorted(
        ["link.jsonl", "folder", "device.jsonl", "../up.jsonl", f"{tmp_path}/absolute.jsonl"]
    )
    assert sql("select path from session_origins order by 1") == [("folder/inside.jsonl",), ("good.jsonl",)]
    assert await asyncio.to_thread(os.listdir, tmp_path) == ["secret.jsonl"]


async def test_file_names_no_other_owner_and_no_session_of_others(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, sql: Sql
) -> None:
    await sent(alice, lines("s1", "one"), filename="s1.jsonl")
    [(session_id,)] = sql("select session_id from sessions")
    claude = Claude("s1")
    entries = [claude.say("mine", user_id="alice", session_id=session_id, parentSessionId=session_id)]
    await sent(bob, b"".join(map(line, entries)), filename=f"{session_id}.jsonl")
    assert sql("select owner_user_id, messages_total from sessions order by 1") == [("alice", 1), ("bob", 1)]
    assert sql("select user_id, count(*)::int from session_participants group by 1 order by 1") == [
        ("alice", 1),
        ("bob", 1),
    ]


async def test_others_do_not_see_or_cancel_an_import(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    import_id = (await sent(alice, lines("s1", "one")))["import_id"]
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        assert_problem(await bob.request(method, f"/imports/{import_id}{path}"), 404, "Import not found")
    assert (await bob.get("/imports")).json()["items"] == []
    assert (await alice.post(f"/imports/{import_id}/cancel")).json()["status"] == "done"


async def test_one_import_of_a_user_runs_at_a_time(alice: httpx.AsyncClient, bob: httpx.AsyncClient, sql: Sql) -> None:
    with held(sql, "alice"):
        response = await alice.post("/imports", content=lines("s1", "one"))
        assert_problem(response, 429)
        assert int(response.headers["retry-after"]) > 0
        assert (await sent(bob, lines("s1", "one")))["status"] == "done"
    assert (await sent(alice, lines("s1", "one")))["status"] == "done"


async def test_imports_at_once_are_bounded(api: Api, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_MOST_USERS", 2)
    jobs: Jobs = api.app.state.imports
    with jobs.place("one"), jobs.place("another"):
        assert_problem(await alice.post("/imports", content=b"{}"), 429, "Other imports are running: try again")
    with jobs.place("alice"), jobs.place("alice"):
        assert_problem(await alice.post("/imports", content=b"{}"), 429)


async def test_slow_senders_do_not_keep_others_from_importing(dsn: str) -> None:
    """A process that reads one import at a time reads it when all of it has come."""
    async with live(settings_for(dsn, max_imports_per_process=1)) as api:
        begun, rest = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield lines("s1", "one")
            begun.set()
            await rest.wait()
            yield lines("s1", "two")

        people = [await api.as_user(name) for name in ("alice", "bob", "carol")]
        sending = [asyncio.create_task(one.post("/imports", content=slowly())) for one in people[:2]]
        await asyncio.wait_for(begun.wait(), 20)
        assert (await sent(people[2], lines("s3", "three")))["status"] == "done"
        rest.set()
        answers = [await one for one in sending]
        for client, answer in zip(people, answers, strict=False):
            assert (await ended(client, answer.json()["import_id"]))["status"] == "done"


async def filled(space: Space, size: float) -> bool:
    return space.used > size


async def test_large_imports_leave_space_for_small_ones(dsn: str) -> None:
    """Two users fill the space for imports, slowly; a third may send a 64th of an import nevertheless."""
    most = 8 * 1024 * 1024
    async with live(settings_for(dsn, max_import_bytes=most)) as api:
        space: Space = api.app.state.import_space
        rest = asyncio.Event()

        async def slowly(name: str) -> AsyncIterator[bytes]:
            yield lines(name, "word " * (most // 5 - 1000))
            await rest.wait()

        people = [await api.as_user(name) for name in ("alice", "bob", "carol")]
        sending = [
            asyncio.create_task(one.post("/imports", content=slowly(name)))
            for one, name in zip(people, ("s1", "s2"), strict=False)
        ]
        await until(partial(filled, space, most * 1.9))
        assert_problem(
            await people[2].post("/imports", content=lines("s3", "x" * (most // 4))),
            503,
            "Too many large bodies are being sent: try again",
        )
        assert (await sent(people[2], lines("s3", "three")))["status"] == "done"
        rest.set()
        for client, answer in zip(people, [await one for one in sending], strict=False):
            assert (await ended(client, answer.json()["import_id"]))["status"] == "done"
        assert space.used == 0


async def test_imports_are_read_in_turn(dsn: str, sql: Sql) -> None:
    """One that waits has a sign of life, and can be cancelled."""
    async with live(settings_for(dsn, max_imports_per_process=1)) as api:
        people = [await api.as_user(name) for name in ("alice", "bob", "carol")]
        with waiting(dsn, "alice"):
            answers = [await client.post("/imports", content=lines("s1", "one")) for client in people]
            ids = [answer.json()["import_id"] for answer in answers]
            seen = "select seen_at > created_at + interval '1 second' from imports where import_id = %s"
            await until(partial(told, sql, seen, ids[1]), 60)
            await people[1].post(f"/imports/{ids[1]}/cancel")
            assert (await ended(people[1], ids[1]))["status"] == "cancelled"
            assert (await people[2].get(f"/imports/{ids[2]}")).json()["status"] == "running"
        assert [(await ended(people[n], ids[n]))["status"] for n in (0, 2)] == ["done", "done"]


async def told(sql: Sql, statement: str, value: str) -> bool:
    return sql(statement, value) == [(True,)]


async def test_same_key_imports_once(alice: httpx.AsyncClient, sql: Sql) -> None:
    headers = {"Idempotency-Key": "first"}
    first = await alice.post("/imports", content=lines("s1", "one"), headers=headers)
    await ended(alice, first.json()["import_id"])
    second = await alice.post("/imports", content=lines("s1", "one"), headers=headers)
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"] == f"/imports/{first.json()['import_id']}"
    assert sql("select count(*)::int from imports") == [(1,)]
    assert sql("select details ->> 'import_id' from audit_log where action = 'import_sessions'") == [
        (first.json()["import_id"],)
    ]


async def test_what_cannot_be_read_fails_with_a_reason(alice: httpx.AsyncClient) -> None:
    for content, said in (
        (b"PK\x03\x04 no archive", "damaged"),
        (tar({"s1.jsonl": lines("s1", "one") * 50}, "w:gz")[:-40], "damaged"),
        (b"no session of any tool\n", "no file of a format that is known"),
    ):
        result = await sent(alice, content)
        assert (result["status"], result["counts"]) == ("failed", {})
        assert said in result["detail"]


async def test_wrong_parameters_are_refused(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    config_id = (await bob.post("/configs", json=CONFIG)).json()["config_id"]
    for query, status in (
        ({"format": "none"}, 422),
        ({"filename": "../a.jsonl"}, 422),
        ({"filename": "/a.jsonl"}, 422),
        ({"config_id": config_id}, 404),
    ):
        assert_problem(await alice.post("/imports", params=query, content=b"{}"), status)
    assert_problem(await alice.post("/imports", content=b""), 422)


async def test_sizes_are_bounded(dsn: str, sql: Sql) -> None:
    async with live(settings_for(dsn, max_import_bytes=100_000)) as api:
        alice = await api.as_user("alice")
        assert_problem(await alice.post("/imports", content=bytes(100_001)), 413)
        files = {"s1.jsonl": lines("s1", "one"), "bomb.jsonl": bytes(1_000_000)}
        for pack in (zipped, lambda files: tar(files, "w:gz")):
            result = await sent(alice, pack(files))
            assert (result["status"], "MAX_IMPORT_BYTES" in result["detail"]) == ("failed", True)
    assert sql("select count(*)::int from sessions") == [(0,)]


async def test_keys_are_redacted_on_request_and_by_setting(dsn: str, sql: Sql) -> None:
    key = "sk-ant-" + "a1B2" * 10
    for number, changes in enumerate(({}, {"redact": "keys"})):
        async with live(settings_for(dsn, **changes)) as api:
            alice = await api.as_user("alice", f"app-{number}")
            query = {} if changes else {"redact": "true"}
            result = await sent(alice, lines(f"s{number}", f"use {key}"), **query)
            assert result["status"] == "done"
    assert sql("select count(*)::int from messages where message::text like '%redacted: anthropic-key%'") == [(2,)]
    assert sql("select count(*)::int from session_origin_lines where encode(lines[1], 'escape') like '%sk-ant-%'") == [
        (0,)
    ]


async def test_progress_is_streamed_until_the_end(dsn: str) -> None:
    async with live(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        response = await alice.post("/imports", content=lines("s1", *(["word"] * 500)))
        import_id = response.json()["import_id"]
        async with api.stream(alice, f"/imports/{import_id}/events") as stream:
            events = []
            while (event := await stream.next("import.progress", "import.finished")) is not None:
                events.append(event)
        assert events[-1].type == "import.finished"
        assert (events[-1].data["status"], events[-1].data["counts"]["claude-code"]["messages"]) == ("done", 500)
        assert {event.type for event in events[:-1]} <= {"import.progress"}


async def test_cancelled_import_stops(dsn: str, sql: Sql) -> None:
    async with live(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        with waiting(dsn, "alice"):
            import_id = (await alice.post("/imports", content=lines("s1", "one"))).json()["import_id"]
            assert (await alice.post(f"/imports/{import_id}/cancel")).status_code == 200
            result = await ended(alice, import_id)
        assert (result["status"], result["counts"]) == ("cancelled", {})
        assert sql("select count(*)::int from sessions") == [(0,)]
        assert (await sent(alice, lines("s1", "one")))["status"] == "done"


async def test_import_of_another_process_is_cancelled(dsn: str, sql: Sql) -> None:
    async with live(settings_for(dsn)) as one, live(settings_for(dsn)) as other:
        alice = await one.as_user("alice")
        other.keys = one.keys
        with waiting(dsn, "alice"):
            import_id = (await alice.post("/imports", content=lines("s1", "one"))).json()["import_id"]
            elsewhere = await other.as_user("alice")
            assert (await elsewhere.post(f"/imports/{import_id}/cancel")).status_code == 200
            assert (await ended(elsewhere, import_id))["status"] == "cancelled"


async def test_stopped_service_leaves_the_import_interrupted(dsn: str, sql: Sql) -> None:
    with waiting(dsn, "alice"):
        async with live(settings_for(dsn)) as api:
            alice = await api.as_user("alice")
            import_id = (await alice.post("/imports", content=lines("s1", "one"))).json()["import_id"]
    [(found, status, detail)] = sql("select import_id, status, detail from imports")
    assert (found, status) == (import_id, "interrupted")
    assert "send it again" in detail


async def test_import_of_a_dead_process_is_ended_by_others(api: Api, alice: httpx.AsyncClient, sql: Sql) -> None:
    with held(sql, "alice"):
        sql("update imports set seen_at = now() - interval '1 hour'")
        await api.app.state.queries.imports.reap(seconds=30.0, detail="send it again", limit=10)
        result = (await alice.get("/imports/held")).json()
        assert (result["status"], result["detail"]) == ("interrupted", "send it again")
        assert (await sent(alice, lines("s1", "one")))["status"] == "done"


async def test_old_imports_are_swept(api: Api, alice: httpx.AsyncClient, sql: Sql) -> None:
    await sent(alice, lines("s1", "one"))
    await api.app.state.queries.imports.sweep(limit=10)
    assert sql("select count(*)::int from imports") == [(1,)]
    sql("update imports set created_at = now() - interval '31 days'")
    await api.app.state.queries.imports.sweep(limit=10)
    assert sql("select count(*)::int from imports") == [(0,)]


async def test_erased_user_ends_the_import(dsn: str, sql: Sql) -> None:
    async with live(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        jobs: Jobs = api.app.state.imports
        with waiting(dsn, "alice"):
            await alice.post("/imports", content=lines("s1", "one"))
            sql("delete from imports")
            await until(lambda: is_idle(jobs))
        assert sql("select count(*)::int from sessions") == [(0,)]


async def is_idle(jobs: Jobs) -> bool:
    """Returns whether a process has no import any more."""
    return not jobs._tasks


async def working(folder: Path, port: int) -> asyncio.subprocess.Process:
    """Starts the process of an import in a new folder, with a database at a port of this machine."""
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / "body").write_bytes, lines("s1", "one"))
    dsn = f"postgresql://127.0.0.1:{port}/none"
    job = Job(str(folder), "s1.jsonl", dsn, None, "alice", None, "auto", [], 10_000)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "amplifier.imports.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=process._environment(),
    )
    assert worker.stdin is not None
    worker.stdin.write(msgspec.json.encode(job) + b"\n")
    return worker


async def left(worker: asyncio.subprocess.Process, folder: Path) -> bool:
    """Ends the stdin of a process and waits for its end. Returns whether its folder is still there."""
    assert worker.stdin is not None
    worker.stdin.close()
    try:
        async with asyncio.timeout(60):
            await worker.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
    return await asyncio.to_thread(folder.exists)


async def test_folder_is_removed_when_the_service_dies(tmp_path: Path) -> None:
    """The process of an import ends and removes its files when its stdin ends while it waits for the database."""
    connected = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        worker = await working(tmp_path / "import", server.sockets[0].getsockname()[1])
        await asyncio.wait_for(connected.wait(), 60)
        assert await asyncio.to_thread((tmp_path / "import/files/s1.jsonl").exists)
        assert not await left(worker, tmp_path / "import")


async def test_folder_is_removed_when_the_service_died_before_the_end(tmp_path: Path) -> None:
    """Also if the import ends at the same time, here because there is no database."""
    for number in range(4):
        folder = tmp_path / str(number)
        assert not await left(await working(folder, 1), folder)
