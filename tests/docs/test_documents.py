"""The links, headings, files, tests, modules and settings that documents name exist."""

import re
from pathlib import Path

import msgspec
import pytest

from amplifier.secret import Secret
from amplifier.settings import Settings
from tests.support.markdown import PAGES
from tests.support.paths import ROOT

DOCUMENTS = [
    *PAGES,
    *sorted(
        str(page.relative_to(ROOT))
        for pattern in ("[a-z]*/README.md", "clients/*/README.md", "deploy/*/README.md", "docs/integrations/*.md")
        for page in ROOT.glob(pattern)
        if str(page.relative_to(ROOT)) not in PAGES
    ),
]
FOLDERS = "amplifier|benchmarks|clients|console|deploy|docs|migrations|openapi|queries|tests"
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(rf"`((?:{FOLDERS})/[\w./*-]*)(?:::(\w+))?`")
_ROW = re.compile(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? ?\| ([^|]*) \|", re.MULTILINE)


def text_of(document: str) -> str:
    """Returns a document's text without fenced blocks."""
    return _FENCED.sub("", (ROOT / document).read_text())


def anchors(document: Path) -> set[str]:
    """Returns the anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", document.read_text()), re.MULTILINE)
    plain = (re.sub(r"\]\([^)]*\)", "", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_have_targets(document: str) -> None:
    for link in _LINK.findall(text_of(document)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / document).parent / path).resolve() if path else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if one != "CHANGELOG.md"])
def test_named_files_and_tests_exist(document: str) -> None:
    for path, test in _PATH.findall(text_of(document)):
        if "." not in path and "/" in path.rstrip("/"):
            assert (ROOT / path).is_dir() or (ROOT / f"{path}.py").exists(), f"{path}: name a file with its suffix"
        assert list(ROOT.glob(path.rstrip("/"))), path
        if test:
            assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{test}"


def test_readme_shows_images_that_exist_in_light_and_dark() -> None:
    found = re.findall(r'(?:src|srcset)="([^"]+)"', (ROOT / "README.md").read_text())
    assert len(found) == 4
    for image in found:
        assert (ROOT / image).read_bytes().startswith(b"\x89PNG"), image


def test_readme_links_every_page() -> None:
    linked = {link.partition("#")[0] for link in _LINK.findall(text_of("README.md"))}
    assert {one for one in DOCUMENTS if one != "README.md"} <= linked


def test_architecture_lists_all_packages_and_modules() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    sections = dict(re.findall(r"^### `(amplifier/[\w/]*)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    listed = {package: _modules(table) for package, table in sections.items()}
    there: dict[str, set[str]] = {}
    for file in (ROOT / "amplifier").rglob("*.py"):
        if not file.stem.startswith("__"):
            there.setdefault(f"{file.parent.relative_to(ROOT)}/", set()).add(file.stem)
    assert listed == there


def test_page_about_sql_lists_all_tables() -> None:
    section = text_of("docs/sql.md").partition("## Know the tables")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    schema = (ROOT / "tests/schema.sql").read_text()
    tables = re.findall(r"^CREATE (?:UNLOGGED )?TABLE public\.(\w+)", schema, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(tables)


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {name: default for name, default, _ in _ROW.findall(text_of("docs/settings.md"))}
    assert documented == {
        field.encode_name: _shown(getattr(Settings(), field.name)) for field in msgspec.structs.fields(Settings)
    }


def test_settings_in_seconds_are_documented_as_such() -> None:
    units = {name: unit for name, _, unit in _ROW.findall(text_of("docs/settings.md"))}
    types = {field.encode_name: str(field.type) for field in msgspec.structs.fields(Settings)}
    seconds = {name for name, type_ in types.items() if "number of seconds" in type_}
    assert seconds
    assert {name for name, unit in units.items() if unit == "seconds"} == seconds


def _modules(table: str) -> set[str]:
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    return {module for cell in cells for module in re.findall(r"`(\w+)`", cell)}


def _shown(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, Secret):
        return default.reveal()
    return str(default).lower() if isinstance(default, bool) else str(default)
