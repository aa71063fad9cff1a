"""The pages that show the API: served whole by the service itself, under a strict policy, and working in a browser."""

import html
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from amplifier.web import reference_page
from tests.conftest import Api, assert_problem, private_folder
from tests.openapi.test_document import DOCUMENT, OPERATIONS, SCHEMAS
from tests.openapi.test_sdk import make, needs_npm, run
from tests.support.service import running_service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


async def test_page_names_its_files_by_their_content(api: Api) -> None:
    anonymous = api.client()
    for path, files in (("/docs", 4), ("/redoc", 2)):
        page = await anonymous.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "<script>" not in page.text
        assert re.findall(r'(?:src|href)="(?![/#])', page.text) == []
        addresses = re.findall(r'(?:src|href)="(/docs/assets/[^"]+)"', page.text)
        assert len(addresses) == files
        for address in addresses:
            asset = await anonymous.get(address)
            assert (asset.status_code, asset.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
            kind = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "png": "image/png"}
            assert asset.headers["content-type"] == kind[address.partition("?")[0].rpartition(".")[2]]
            assert asset.content


async def test_reference_page_shows_whole_document_without_scripts(api: Api) -> None:
    page = (await api.client().get("/redoc")).text
    assert "<script" not in page
    anchors = re.findall(r'<article id="([^"]+)">', page)
    assert anchors == [*OPERATIONS, *SCHEMAS]
    assert set(re.findall(r'href="#([^"]+)"', page)) <= {
        *anchors,
        *(tag["name"] for tag in DOCUMENT["tags"]),
        "schemas",
    }
    for _, path, operation in OPERATIONS.values():
        assert f"<code>{path}</code>" in page
        for parameter in operation.get("parameters", ()):
            assert f"<dt><code>{parameter['name']}</code>" in page
    for example in DOCUMENT["components"]["examples"].values():
        assert f"<q>{html.escape(example['value']['detail'])}</q>" in page
    for schema in SCHEMAS.values():
        for member in schema.get("properties", {}):
            assert f"<dt><code>{member}</code>" in page


def test_reference_page_escapes_what_document_says() -> None:
    text = "<script>alert(1)</script> & `<b>`"
    parameter = {"name": "q", "in": "query", "description": text, "schema": {"type": "string", "pattern": "^<&>$"}}
    answer = {"description": text, "content": {"application/json": {"schema": {"type": "object"}, "example": text}}}
    operation = {
        "tags": ["things"],
        "summary": text,
        "description": text,
        "operationId": "get_things",
        "parameters": [parameter],
        "responses": {"200": answer, "404": answer},
    }
    shown = reference_page.page(
        {
            "info": {"title": text, "summary": text, "version": "1", "description": text},
            "tags": [{"name": "things", "description": text}],
            "paths": {"/things": {"get": operation}},
            "components": {"schemas": {}},
        },
        "",
        "/{}".format,
    )
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "^&lt;&amp;&gt;$" in shown
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 8


async def test_only_listed_files_are_served(api: Api) -> None:
    for name in ("index.html", "..%2Fdocs.html", "docs.html", "%2Fetc%2Fpasswd", "swagger-ui.js"):
        assert_problem(await api.client().get(f"/docs/assets/{name}"), 404)


@pytest.mark.slow
@needs_npm
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_pages_work_in_a_browser(tmp_path: Path) -> None:
    make("node_modules/ready")
    screenshots = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    with private_folder() as home, running_service({"AMPLIFIER_HOME": str(home)}) as service:
        [line] = run("node", "tests/browser.mjs", str(CHROMIUM), service.url, str(screenshots))
    seen = json.loads(line)
    assert seen["complaints"] == []
    assert seen["status"].split()[0] == "200"
    assert "service_version" in seen["body"]
    assert seen["buttons"] == {"follow_sessions": 0, "follow_session": 0, "stream_message": 1, "get_session": 1}
    assert (seen["articles"], seen["overflow"]) == (len(OPERATIONS) + len(SCHEMAS), 0)
    assert f"{service.url}/version" in seen["requests"]
    assert [url for url in seen["requests"] if not url.startswith((f"{service.url}/", "data:"))] == []


async def test_document_and_the_files_are_compressed_and_kept(api: Api) -> None:
    anonymous = api.client({"Accept-Encoding": "gzip"})
    page = await anonymous.get("/docs")
    [script] = re.findall(r'src="(/docs/assets/swagger-ui-bundle[^"]+)"', page.text)
    for path in ("/openapi.json", script):
        answer = await anonymous.get(path)
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) < len(answer.content) / 2
        again = await anonymous.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cache-control"] == answer.headers["cache-control"]
