"""Every test that SECURITY.md names exists."""

import re

from tests.support.paths import ROOT


def test_table_names_existing_tests() -> None:
    rows = re.findall(r"^\| (API\d+) .*\| ([^|]*) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    assert [number for number, _ in rows] == [f"API{number}" for number in range(1, 11)]
    for number, tests in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", tests)
        assert len(named) > 1, number
        for file, test in named:
            text = (ROOT / file).read_text()
            wanted = rf"^(async )?def {test}\(" if test else r"^(async )?def test_"
            assert re.search(wanted, text, re.MULTILINE), f"{number}: {file}::{test}"
