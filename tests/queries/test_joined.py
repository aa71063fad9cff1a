"""Queries whose header has `@with`: the statement that they make together with another query."""

from pathlib import Path

import pytest

from amplifier.queries.checks.access_rules import WITH
from amplifier.queries.findings import QueriesError
from tests.queries.test_checks import edit
from tests.queries.test_registry import check, load


def test_joined_statement_ends_with_added_query(folder: Path) -> None:
    query = load(folder).sessions.create
    joined = query.joined
    assert joined.usage is query.usage
    assert joined.statement.startswith("with /* sessions.create */ owned_config as (")
    assert ", returned_rows as (\n\nselect\n    s.session_id," in joined.statement
    assert joined.statement.endswith(")\n\nselect * from returned_rows")
    assert "from (select '{}'::jsonb as details from returned_rows) as outcome" in joined.statement
    assert joined.parameters[-6:] == ["action", "target_type", "target_id", "details", "address", "request_id"]


def test_change_that_returns_nothing_returns_its_rows(folder: Path) -> None:
    joined = load(folder).settings.delete.joined
    assert joined.statement.startswith("with /* settings.delete */ returned_rows as (delete from configuration")
    assert "\nreturning true\n), added_row as (" in joined.statement


def test_edit_of_audit_entry_is_in_every_change(folder: Path) -> None:
    edit(folder, "audit.add", "left(:address, 255)", "left(:address, 9)")
    queries = load(folder)
    audited = [query for query in queries.joined() if WITH[query.name] == "audit.add"]
    assert len(audited) > 15
    assert all(", 9),\n" in query.statement.partition("added_row as (")[2] for query in audited)


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("audit.add", ") as outcome", ") as one", "audit.add does not read from"),
        ("audit.add", ":details", ":metadata", "both it and audit.add have the parameter metadata"),
    ],
)
def test_queries_that_make_no_statement_are_refused(folder: Path, name: str, old: str, new: str, problem: str) -> None:
    edit(folder, name, old, new)
    file = folder / "audit.sql"
    file.write_text(file.read_text().replace("as outcome\nwhere outcome", "as one\nwhere one"))
    if new == ":metadata":
        text = file.read_text().replace("target_id, details, address", "target_id, metadata, address", 1)
        file.write_text(text.replace("@param  details ", "@param  metadata", 1))
    with pytest.raises(QueriesError, match=problem):
        load(folder)


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("sessions.create", "-- @with   audit.add\n", "", "@with None, but the code runs it with audit.add"),
        (
            "messages.append",
            "idempotency.keep",
            "audit.add",
            "but the code runs it with idempotency.keep",
        ),
        ("settings.put", "'changed', changes", "'changed', change", 'column "change" does not exist'),
        ("sessions.get", "-- @shards", "-- @with   audit.add\n-- @shards", "but the code runs it with nothing"),
    ],
)
async def test_check_refuses_edits_of_with(dsn: str, folder: Path, name: str, old: str, new: str, problem: str) -> None:
    edit(folder, name, old, new)
    with pytest.raises(QueriesError, match=problem):
        await check(folder, dsn)
