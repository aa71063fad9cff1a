"""Common parts of answers: ETags, conditions, links to the next page, compression, HEAD, headers for browsers."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for
from tests.support.live import live

LARGE = {"messages": [{"role": "user", "content": "word " * 200}] * 20}


async def test_configs_are_changed_if_they_match(alice: httpx.AsyncClient, config_id: str) -> None:
    path = f"/configs/{config_id}"
    etag = (await alice.get(path)).headers["etag"]
    changed = await alice.put(path, json={"name": "second"}, headers={"If-Match": etag})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    for stale in (etag, 'W/"2"', '"x"', "2", '"9", "8"', '"-2"', f'"{"9" * 30}"', ""):
        refused = await alice.put(path, json={"name": "third"}, headers={"If-Match": stale})
        problem = assert_problem(refused, 412)
        assert problem["detail"] == 'The config has changed: its ETag is "2" now, which If-Match does not name'
        assert refused.headers["etag"] == '"2"'
        assert_problem(await alice.delete(path, headers={"If-Match": stale}), 412)
    for number, fresh in enumerate(('"2"', '"7", "3"', "*", '"5-gzip"')):
        assert (await alice.put(path, json={"name": str(number)}, headers={"If-Match": fresh})).status_code == 200
    assert (await alice.delete(path, headers={"If-Match": '"6"'})).status_code == 200
    assert_problem(await alice.delete(path, headers={"If-Match": '"6"'}), 404, "Config not found")


async def test_sessions_are_changed_if_they_match(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    path = f"/sessions/{session_id}"
    etag = (await alice.get(path)).headers["etag"]
    await alice.post(f"{path}/participants", json={"user_id": "bob", "role": "viewer"})
    refused = await alice.patch(path, json={"title": "t"}, headers={"If-Match": etag})
    assert_problem(refused, 412, 'The session has changed: its ETag is "1" now, which If-Match does not name')
    assert_problem(await alice.post(f"{path}/resume", headers={"If-Match": etag}), 412)
    assert_problem(await alice.delete(path, headers={"If-Match": etag}), 412)
    for wanted in (etag, '"1"'):  # who may not change it learns nothing else
        assert_problem(await bob.patch(path, json={"title": "t"}, headers={"If-Match": wanted}), 403)
        assert_problem(await bob.delete(path, headers={"If-Match": wanted}), 403)
    changed = await alice.patch(path, json={"title": "t"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert (await alice.delete(path, headers={"If-Match": changed.headers["etag"]})).status_code == 200


async def test_one_of_many_updates_with_same_etag_wins(api: Api, alice: httpx.AsyncClient, config_id: str) -> None:
    async with serving(api.settings) as elsewhere:
        clients = [alice, elsewhere.client(dict(alice.headers))]
        answers = await asyncio.gather(
            *(
                clients[n % 2].put(f"/configs/{config_id}", json={"name": str(n)}, headers={"If-Match": '"1"'})
                for n in range(20)
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19


async def test_known_etag_is_answered_with_304(alice: httpx.AsyncClient, config_id: str, session_id: str) -> None:
    await alice.post(f"/sessions/{session_id}/transcript", json=LARGE)
    for path in (
        f"/configs/{config_id}",
        f"/sessions/{session_id}",
        f"/sessions/{session_id}/transcript",
        f"/sessions/{session_id}/transcript?view=plain",
    ):
        for encoding in ("identity", "gzip"):
            headers = {"Accept-Encoding": encoding}
            etag = (await alice.get(path, headers=headers)).headers["etag"]
            for known in (etag, f'W/{etag}, "x"', "*"):
                again = await alice.get(path, headers=headers | {"If-None-Match": known})
                assert (again.status_code, again.content) == (304, b""), (path, known)
                assert again.headers["etag"].replace("-gzip", "") == etag.replace("-gzip", "")
            for other in ('"x"', '"99"', "", etag.strip('"')):
                assert (await alice.get(path, headers=headers | {"If-None-Match": other})).status_code == 200
    etag = (await alice.get(f"/sessions/{session_id}/transcript")).headers["etag"]
    await alice.post(f"/sessions/{session_id}/transcript", json=LARGE)
    fresh = await alice.get(f"/sessions/{session_id}/transcript", headers={"If-None-Match": etag})
    assert fresh.status_code == 200


async def test_condition_grants_no_access(bob: httpx.AsyncClient, config_id: str, session_id: str) -> None:
    for path in (f"/configs/{config_id}", f"/sessions/{session_id}", f"/sessions/{session_id}/transcript"):
        for header in ({"If-None-Match": "*"}, {"If-None-Match": '"1"'}, {"If-Match": "*"}):
            assert_problem(await bob.get(path, headers=header), 404)


@pytest.mark.parametrize("path", ["/configs", "/sessions", "/users/alice/sessions", "/settings"])
async def test_links_lead_through_all_pages(api: Api, alice: httpx.AsyncClient, path: str) -> None:
    admin = await api.as_user("alice", "admin")
    for number in range(5):
        config = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
        await alice.post("/sessions", json={"config_id": config, "tags": {"a&b": "c d"}})
        await admin.put(f"/settings/key{number}", json={"value": 1})
    url, pages = f"{path}?limit=2" + ("&tag=a%26b:c%20d" if path == "/sessions" else ""), 0
    while url:
        page = await alice.get(url)
        assert page.status_code == 200, page.text
        assert ("next" in page.links) == (page.json()["next"] is not None)
        url, pages = page.links.get("next", {}).get("url", ""), pages + 1
    assert pages == 3


async def test_links_lead_through_search_and_transcript(alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.post(f"/sessions/{session_id}/transcript", json=LARGE)
    for path in ("/search?q=word&limit=7", f"/sessions/{session_id}/transcript?limit=7&after=0"):
        first = await alice.get(path)
        second = await alice.get(first.links["next"]["url"])
        third = await alice.get(second.links["next"]["url"])
        assert "next" not in third.links
        assert len({page.text for page in (first, second, third)}) == 3


async def test_large_answers_are_compressed_if_accepted(dsn: str, alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.post(f"/sessions/{session_id}/transcript", json=LARGE)
    async with live(settings_for(dsn)) as service:
        client = httpx.AsyncClient(base_url=service.url, headers=dict(alice.headers))
        for path in (f"/sessions/{session_id}/transcript", f"/sessions/{session_id}/transcript?view=plain"):
            plain = await client.get(path, headers={"Accept-Encoding": "identity"})
            assert "content-encoding" not in plain.headers
            assert plain.headers["vary"] == "Accept-Encoding"
            for accepted in ("gzip", "br, GZIP;q=0.5", "*"):
                async with client.stream("GET", path, headers={"Accept-Encoding": accepted}) as response:
                    raw = b"".join([chunk async for chunk in response.aiter_raw()])
                assert response.headers["content-encoding"] == "gzip"
                assert gzip.decompress(raw) == plain.content
                assert len(raw) < len(plain.content) / 5
            for refused in ("gzip;q=0", "gzip; q=0.0, br", "br", "*;q=0", ""):
                other = await client.get(path, headers={"Accept-Encoding": refused})
                assert "content-encoding" not in other.headers, refused
        small = await client.get("/version", headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in small.headers


async def test_json_ends_with_line_break(dsn: str, alice: httpx.AsyncClient, session_id: str) -> None:
    transcript = f"/sessions/{session_id}/transcript"
    await alice.post(transcript, json=LARGE)
    keyed = {"json": LARGE, "headers": {"Idempotency-Key": "one"}}
    async with live(settings_for(dsn)) as service:
        client = httpx.AsyncClient(base_url=service.url, headers=dict(alice.headers))
        answers = [
            await client.get(path) for path in ("/health", "/openapi.json", transcript, f"{transcript}?view=plain")
        ]
        answers += [await client.get(transcript, headers={"Accept-Encoding": "identity"})]
        answers += [await client.post(transcript, **keyed) for _ in range(2)]  # type: ignore[arg-type]
        answers += [await client.get("/sessions/none"), await client.get("/none"), await client.put(transcript)]
        answers += [await client.get("/health", headers={"x": "y" * 70_000})]
        assert [answer.status_code for answer in answers] == [200] * 5 + [201] * 2 + [404, 404, 405, 431]
        for answer in answers:
            assert answer.content.endswith(b"}\n") or answer.content.endswith(b"]\n"), answer.url
            assert answer.content.count(b"\n") == 1 or answer.url.path == "/openapi.json"
            if "content-encoding" not in answer.headers and "transfer-encoding" not in answer.headers:
                assert int(answer.headers["content-length"]) == len(answer.content), answer.url
        known = await client.get(transcript, headers={"If-None-Match": "*"})
        assert (known.status_code, known.content) == (304, b"")


async def test_head_answers_like_get(dsn: str, alice: httpx.AsyncClient, config_id: str, session_id: str) -> None:
    async with live(settings_for(dsn)) as service:
        admin = await service.as_user("alice", "admin")
        ids = {
            "config_id": config_id,
            "session_id": session_id,
            "user_id": "alice",
            "version": "1",
            "app_id": "admin",
            "seq": "1",
            "external_id": "mine",
            "conversation_id": f"conv_{session_id}",
        }
        await admin.put("/sessions/by-key/mine")
        await admin.put("/settings/key", json={"value": 1})
        await admin.post(f"/sessions/{session_id}/transcript", json={"messages": [{"role": "user"}]})
        await admin.post(f"/sessions/{session_id}/messages", json={"message": "its config names no provider"})
        sent = await admin.post(
            f"/sessions/{session_id}/attachments", content=b"x", headers={"Content-Type": "text/plain"}
        )
        ids["sha256"] = sent.json()["attachment"].rpartition("/")[2]
        [run] = (await admin.get(f"/sessions/{session_id}/runs")).json()["items"]
        ids["run_id"] = run["run_id"]
        ids["response_id"] = f"resp_{session_id}_{run['run_id']}"
        [item, *_] = (await admin.get(f"/v1/conversations/conv_{session_id}/items")).json()["data"]
        ids["item_id"] = item["id"]
        sent = await admin.post("/imports", content=b"a file", headers={"Content-Type": "application/octet-stream"})
        ids["import_id"] = sent.json()["import_id"]
        paths = {
            route.path_format for route in service.app.routes if isinstance(route, HTTPRoute) and "GET" in route.methods
        }
        assert len(paths) > 20
        for path in sorted(path for path in paths if not path.startswith(("/docs/", "/console"))):
            address = path.replace(":str", "").replace(":int", "").format(**ids, key="key")
            query = "?q=word" if "search" in path and path != "/usage/searches" else ""
            head = await admin.head(address + query)
            if path.endswith("/events"):
                assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream")
                continue
            get = await admin.get(address + query)
            assert head.status_code == get.status_code == 200, (path, head.status_code, get.text[:200])
            assert head.content == b""
            volatile = {"date", "x-request-id", "content-length", "transfer-encoding"}
            kept = [{k: v for k, v in a.headers.items() if k not in volatile} for a in (head, get)]
            assert kept[0] == kept[1], path
        assert (await admin.head("/none")).status_code == 404
        assert (await admin.head("/invitations/accept")).status_code == 405
        assert (await service.client().head(f"/configs/{config_id}")).status_code == 401


async def test_every_answer_has_security_headers(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    answers = [
        await alice.get(f"/sessions/{session_id}"),
        await alice.post("/configs", json=CONFIG),
        await alice.get("/sessions/none"),
        await alice.post("/configs", content="{"),
        await alice.get("/none"),
        await alice.put("/configs"),
        await api.client().get("/configs"),
        await api.client().get("/health"),
    ]
    sql("alter table configs rename to elsewhere")
    answers.append(await alice.get("/configs"))
    sql("alter table elsewhere rename to configs")
    assert {answer.status_code for answer in answers} == {200, 201, 401, 404, 405, 415, 500}
    for answer in answers:
        for name, value in {
            "cache-control": "no-store",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
            "x-content-type-options": "nosniff",
        }.items():
            assert answer.headers.get_list(name) == [value], (answer.request.url, name)
        assert answer.headers["x-request-id"]
    page = await api.client().get("/docs")
    for name, value in {"referrer-policy": "no-referrer", "x-frame-options": "DENY"}.items():
        assert page.headers.get_list(name) == [value]
    assert "script-src 'self'" in page.headers["content-security-policy"]


async def test_allowed_origins_may_use_all_headers(dsn: str) -> None:
    origin = {"Origin": "https://console.example"}
    async with serving(settings_for(dsn, allowed_origins="https://console.example")) as api:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "idempotency-key, if-match"}
        preflight = await api.client().options("/configs", headers=origin | asked)
        assert preflight.status_code == 204
        allowed = preflight.headers["access-control-allow-headers"].lower()
        for name in (
            "idempotency-key",
            "if-match",
            "if-none-match",
            "last-event-id",
            "x-api-key",
            "authorization",
            "mcp-name",
        ):
            assert name in allowed
        shown = (await api.client().get("/health", headers=origin)).headers["access-control-expose-headers"].lower()
        for name in ("etag", "link", "ratelimit", "retry-after", "idempotency-replayed", "x-request-id"):
            assert name in shown
