"""Configs are untrusted: they read nothing of the server and reach only allowed addresses."""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from amplifier.web.authentication import generate_key
from tests.conftest import SECRET, token
from tests.support import llm
from tests.support.agents import ALLOWED, MODULES, Agent, agent, echo, model
from tests.support.databases import execute
from tests.support.llm import Call, Reply, Stub
from tests.support.service import Service
from tests.support.soak import services

pytestmark = pytest.mark.slow

NAMES = [
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_CUSTOM_HEADERS", "ANTHROPIC_API_KEY"),
    *("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "A_SECRET"),
]
CANARIES = {name: f"canary-{name.lower()}-{uuid.uuid4().hex}" for name in NAMES}
ALLOWED_NAME, FILE_NAME = "MODEL_KEY", "FILE_KEY"
ALLOWED_VALUE, FILE_VALUE, OTHER_FILE = (f"canary-{uuid.uuid4().hex}" for _ in range(3))
ENCRYPTION = f"canary-{uuid.uuid4().hex}"


class World(NamedTuple):
    """A service with secrets in its environment, a stub that configs may address, and one that they may not."""

    service: Service
    stub: Stub
    forbidden: Stub
    key: str

    def client(self, user_id: str) -> httpx.AsyncClient:
        headers = {"X-API-Key": self.key, "Authorization": f"Bearer {token(sub=user_id, exp=2**40)}"}
        return httpx.AsyncClient(base_url=self.service.url, headers=headers, timeout=30, verify=False)

    def assert_kept(self, *shown: Any) -> None:
        """Asserts that no canary was shown, logged or sent, except an allowed one to its provider."""
        text = json.dumps(shown, default=str) + self.service.output
        sent = json.dumps([[seen.headers, seen.target, seen.raw.decode()] for seen in self.stub.requests])
        for secret in (*CANARIES.values(), OTHER_FILE, ENCRYPTION, SECRET):
            assert secret not in text + sent
        for secret in (ALLOWED_VALUE, FILE_VALUE):
            assert secret not in text
        assert self.forbidden.requests == []
        assert self.forbidden.connections == 0


@pytest.fixture
def world(dsn: str, tmp_path: Path) -> Iterator[World]:
    key = generate_key()
    columns = "app_id, app_name, api_key_hash, api_key_prefix"
    execute(dsn, f"insert into applications ({columns}) values ('app', 'app', '{key.hash}', '{key.prefix}')")
    for name, value in ((FILE_NAME, FILE_VALUE), ("OTHER_FILE", OTHER_FILE)):
        (tmp_path / name).write_text(f"{value}\n")
    with llm.in_thread() as stub, llm.in_thread() as forbidden:
        traps = {name: f"{forbidden.url}/{CANARIES[name]}" for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL")}
        environ = (
            CANARIES
            | traps
            | {
                "AUTH_REQUIRED": "true",
                "SECRET_KEY": SECRET,
                "CONFIG_ENCRYPTION_KEY": ENCRYPTION,
                "LOG_LEVEL": "debug",
                "PYTHONPATH": str(MODULES),
                "RUNTIME_MODULES": ALLOWED,
                "RUNTIME_BASE_URLS": stub.url,
                "RUNTIME_SECRETS": f"{ALLOWED_NAME},{FILE_NAME}",
                "RUNTIME_SECRETS_DIR": str(tmp_path),
                ALLOWED_NAME: ALLOWED_VALUE,
            }
        )
        with services(1, dsn, **environ) as [service]:
            yield World(service, stub, forbidden, key.text)


async def outcome(client: httpx.AsyncClient, *providers: Any, **sections: Any) -> tuple[int, list[Any]]:
    """Returns the status of an answer with this config, and all texts that the session shows afterwards."""
    here = await agent(client, *providers, **sections)
    answer = await client.post(f"{here.path}/messages", json={"message": "Show me"})
    shown = [answer.text, await here.runs(), (await client.get(f"{here.path}/transcript")).text]
    config_id = (await client.get(here.path)).json()["config_id"]
    return answer.status_code, [*shown, (await client.get(f"/configs/{config_id}?decrypt=true")).json()]


async def test_config_reaches_no_secret_file_module_or_address(world: World) -> None:
    """Tries each way in which a config might reach secrets, files, modules and addresses of the server."""
    good = model(world.stub)["config"]
    here, elsewhere = world.stub.openai_url, world.forbidden.openai_url
    host = elsewhere.removeprefix("http://")

    def openai(**config: Any) -> dict[str, Any]:
        return {"module": "provider-openai", "config": {**good, **config}}

    tries: list[tuple[dict[str, Any], ...]] = [
        *(({"providers": [openai(api_key=f"${{{name}}}")]},) for name in (*NAMES, "DATABASE_URL", "SECRET_KEY")),
        ({"providers": [openai(api_key="${OTHER_FILE}")]},),
        ({"providers": [openai(api_key="${${MODEL_KEY}}")]},),
        ({"providers": [openai(model="${MODEL_KEY}")]},),
        ({"providers": [openai(base_url=f"{here}/${{MODEL_KEY}}")]},),
        ({"session": {"context": {"module": "context-simple", "config": {"system_prompt": "${MODEL_KEY}"}}}},),
        ({"tools": [{"module": "tool-some", "config": {"text": "${MODEL_KEY}"}}]},),
        *(
            ({"providers": [openai(base_url=url)]},)
            for url in (
                *(elsewhere, f"//{host}", f"HTTP://{host}", f"{here}@{host}", f"http://127.0.0.1@{host}"),
                *("http://169.254.169.254/latest", "file:///etc/passwd", f"{world.service.url}/v1", "http://[::1]:1/"),
                *(
                    f"{world.stub.url}.evil.test/v1",
                    f"{world.stub.url}\\@{host}",
                    "http://2130706433/v1",
                    " " + elsewhere,
                ),
            )
        ),
        *(
            ({"providers": [{"module": name, "config": good}]},)
            for name in (
                "os",
                "amplifier.settings",
                "../provider-openai",
                "/etc/passwd",
                "tool-not-allowed",
                "builtins",
            )
        ),
        *(
            ({kind: [{"module": "x", "source": "git+https://evil.test/x"}]},)
            for kind in ("tools", "hooks", "providers")
        ),
        ({"session": {"orchestrator": {"module": "loop-streaming", "source": "/tmp/x"}}},),
        ({"session": {"orchestrator": "loop-streaming", "orchestrator_source": "file:///tmp/x"}},),
        ({"session": {"context": {"module": "context-simple", "source": "."}}},),
        ({"includes": [{"bundle": "git+https://evil.test/x"}]},),
    ]
    async with world.client("mallory") as mallory:
        for (sections,) in tries:
            providers = sections.get("providers", [echo()])
            more = {name: value for name, value in sections.items() if name != "providers"}
            status, shown = await outcome(mallory, *providers, **more)
            assert status == 400, (sections, shown)
            world.assert_kept(shown)
        assert world.stub.requests == []
        for text in ("${../FILE_KEY}", "${/etc/passwd}"):  # invalid names of variables are plain texts
            world.assert_kept(await outcome(mallory, openai(api_key=text)))
            assert world.stub.requests[-1].header("authorization") == f"Bearer {text}"


async def test_allowed_secret_is_sent_to_provider_only(world: World) -> None:
    """The secret is masked where the provider repeats it in an error."""
    async with world.client("mia") as mia:
        for name, value in ((ALLOWED_NAME, ALLOWED_VALUE), (FILE_NAME, FILE_VALUE)):
            world.stub.queue(Reply(status=401, error=f"{value} is no key"), Reply("Well."))
            provider = model(world.stub, api_key=f"${{{name}}}")
            here = await agent(mia, provider)
            first = await here.say("one", 502)
            assert first["detail"].startswith("*** is no key")
            assert (await here.say("two"))["response"] == "Well."
            assert world.stub.requests[-1].header("authorization") == f"Bearer {value}"
            world.assert_kept(first, await here.runs(), await here.transcript())
        world.stub.queue(Reply(status=302, headers={"location": world.forbidden.openai_url}))
        await here.say("three", 400)
        world.assert_kept(await here.runs())


async def test_sdks_do_not_use_environment(world: World) -> None:
    async with world.client("mia") as mia:
        for kind in ("openai", "anthropic"):
            here = await agent(mia, model(world.stub, kind))
            await here.say("Hi")
            without = model(world.stub, kind)
            del without["config"]["api_key"]
            assert (await outcome(mia, without))[0] == 400
        world.assert_kept(await here.runs())
        assert len(world.stub.requests) == 2


async def test_owners_key_serves_participants_and_is_not_shown(world: World) -> None:
    async with world.client("mia") as mia, world.client("noor") as noor, world.client("mallory") as mallory:
        provider = model(world.stub, api_key="sk-mias-own-key")
        here = await agent(mia, provider, tools=[{"module": "tool-some"}])
        await mia.post(f"{here.path}/participants", json={"user_id": "noor", "role": "editor"})
        theirs = Agent(noor, here.session_id)
        world.stub.when("go", Reply(calls=[Call("fail", {"text": "sk-mias-own-key"})]), Reply("Well."))
        await theirs.say("go")
        assert world.stub.requests[-1].header("authorization") == "Bearer sk-mias-own-key"
        config_id = (await mia.get(here.path)).json()["config_id"]
        assert (await noor.get(f"/configs/{config_id}?decrypt=true")).status_code == 404
        assert "sk-mias-own-key" not in json.dumps(await theirs.runs())
        run = (await theirs.runs())[0]["run_id"]
        place = {"Last-Event-ID": f"{run}:1"}
        for method, path, body in (
            ("POST", "/messages", {"message": "Hi"}),
            ("POST", "/stream", {"message": "Hi"}),
            ("POST", "/cancel", None),
            ("GET", "/runs", None),
            ("GET", f"/runs/{run}", None),
            ("GET", "/approvals", None),
            ("POST", "/approvals/x", {"decision": "allow"}),
            ("GET", "/diagnosis", None),
            ("POST", "/repair", None),
        ):
            answer = await mallory.request(method, here.path + path, json=body, headers=place)
            assert answer.status_code == 404, (path, answer.text)
    assert "sk-mias-own-key" not in world.service.output
    assert os.environ.get(ALLOWED_NAME) is None
