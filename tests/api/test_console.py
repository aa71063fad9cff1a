"""The console's page and files: what is served at which address, with which policy, and how it is kept."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amplifier.web import console_files
from tests.conftest import Api, assert_problem, serving, settings_for

PAGE = '<link href="./assets/page-1a.css"><script type="module" src="./assets/page-2b.js"></script>'
SCRIPT = b"export const words = 'two words';\n" * 100
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types amplifier dompurify"
)
ADDRESSES = [
    "",
    "/",
    "/sessions/7a4e9d18",
    "/sessions/a%2Fb",
    "/search?q=two+words",
    "/callback?code=a&state=b",
    "/x.js",
]


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """The folder of a build."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "robots.txt").write_text("Disallow: /")
    (tmp_path / "assets/page-1a.css").write_text("main { color: canvastext }")
    (tmp_path / "assets/page-2b.js").write_bytes(SCRIPT)
    (tmp_path / "assets/page-2b.js.br").write_bytes(b"coded by brotli")
    (tmp_path / "assets/page-2b.js.gz").write_bytes(gzip.compress(SCRIPT, mtime=0))
    (tmp_path / "assets/page-2b.js.map").write_text("{}")
    return tmp_path


@pytest.fixture
async def built(dsn: str, build: Path) -> AsyncIterator[Api]:
    """The application with that build."""
    async with serving(settings_for(dsn)) as api:
        api.app.state.console = console_files.read(build)
        yield api


@pytest.mark.parametrize("address", ADDRESSES)
async def test_page_is_served_at_every_address(built: Api, address: str) -> None:
    answer = await built.client().get(f"/console{address}")
    assert answer.status_code == 200
    assert answer.text == PAGE.replace("./", "/console/")
    for name, value in {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": POLICY,
        "cache-control": "no-cache",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }.items():
        assert answer.headers.get_list(name) == [value]
    assert "camera=()" in answer.headers["permissions-policy"]


async def test_page_may_call_the_identity_provider(dsn: str, build: Path) -> None:
    issuer = {"console_oidc_issuer": "https://login.example:8443/v2.0", "console_oidc_client_id": "page"}
    async with serving(settings_for(dsn, auth_mode="jwt_only", **issuer)) as api:
        api.app.state.console = console_files.read(build)
        policy = (await api.client().get("/console")).headers["content-security-policy"]
        assert policy == POLICY.replace("connect-src 'self'", "connect-src 'self' https://login.example:8443")


async def test_files_are_kept_for_ever_because_their_names_change(built: Api) -> None:
    for name, kind in (("page-1a.css", "text/css"), ("page-2b.js", "text/javascript")):
        file = await built.client().get(f"/console/assets/{name}")
        assert (file.status_code, file.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["x-content-type-options"] == "nosniff"
        assert file.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    other = await built.client().get("/console/robots.txt")
    assert (other.text, other.headers["cache-control"]) == ("Disallow: /", "no-cache")


async def test_files_are_sent_as_they_were_compressed(built: Api) -> None:
    forms = {"gzip, br": "br", "gzip": "gzip", "br;q=0, gzip": "gzip", "br;q=0, gzip;q=0": None, "": None, "*": "br"}
    for accepted, coding in forms.items():
        client = built.client({"Accept-Encoding": accepted})
        async with client.stream("GET", "/console/assets/page-2b.js") as answer:
            raw = b"".join([chunk async for chunk in answer.aiter_raw()])
        assert answer.headers.get("content-encoding") == coding, accepted
        assert raw == {"br": b"coded by brotli", "gzip": gzip.compress(SCRIPT, mtime=0), None: SCRIPT}[coding]
        assert (answer.headers["content-length"], answer.headers["vary"]) == (str(len(raw)), "Accept-Encoding")


@pytest.mark.parametrize("path", ["", "/sessions", "/assets/page-1a.css", "/assets/page-2b.js"])
async def test_known_page_and_files_are_not_sent_again(built: Api, path: str) -> None:
    first = await built.client().get(f"/console{path}")
    again = await built.client().get(f"/console{path}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == first.headers["cache-control"]
    head = await built.client().head(f"/console{path}")
    assert (head.status_code, head.headers["etag"]) == (200, first.headers["etag"])


@pytest.mark.parametrize(
    "path",
    [
        "assets/none.js",
        "assets/page-2b.js.map",
        "assets/page-2b.js.gz",
        "assets/..%2Findex.html",
        "assets/%2e%2e/index.html",
        "..%2f..%2fsettings.py",
        "%2e%2e/docs",
        "/etc/passwd",
        "assets//etc/passwd",
    ],
)
async def test_nothing_but_files_of_the_build_is_served(built: Api, path: str) -> None:
    assert_problem(await built.client().get(f"/console/{path}"), 404)


async def test_addresses_begin_with_root_path(dsn: str, build: Path) -> None:
    async with serving(settings_for(dsn, root_path="/amplifier")) as api:
        api.app.state.console = console_files.read(build)
        for prefix in ("", "/amplifier"):
            page = await api.client().get(f"{prefix}/console/sessions/x")
            assert page.text == PAGE.replace("./", "/amplifier/console/")
        assert (await api.client().get("/amplifier/console/assets/page-2b.js")).content == SCRIPT
        assert (await api.client().get("/")).json()["console"] == "/amplifier/console"


async def test_console_answers_to_every_host_as_public_routes_do(dsn: str, build: Path) -> None:
    async with serving(settings_for(dsn, auth_required=False)) as api:
        api.app.state.console = console_files.read(build)
        for path in ("/console", "/console/assets/page-2b.js"):
            assert (await api.client().get(path, headers={"Host": "box.example"})).status_code == 200


async def test_page_says_how_to_build_it(api: Api, tmp_path: Path) -> None:
    api.app.state.console = console_files.read(tmp_path / "none")
    answer = await api.client().get("/console/sessions")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "make console" in answer.text
    assert 'href="/docs"' in answer.text
    assert "<script" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_console_can_be_turned_off(dsn: str, build: Path) -> None:
    async with serving(settings_for(dsn, console=False)) as api:
        api.app.state.console = console_files.read(build)
        for path in ("/console", "/console/sessions", "/console/assets/page-2b.js"):
            assert_problem(await api.client().get(path), 404)
        assert (await api.client().get("/")).json()["console"] is None
