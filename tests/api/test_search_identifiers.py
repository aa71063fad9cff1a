"""Identifiers and beginnings of words: text copied from a transcript is found there."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from amplifier.postgres import embedded
from amplifier.schema import migrate
from tests.conftest import private_folder
from tests.end_to_end.test_main_job import transcripts
from tests.queries.test_search_triggers import insert_messages, insert_session, message_of
from tests.schema.test_migrate import INSTALLS

Sql = Callable[..., list[Any]]

IDENTIFIERS = """
    search_direct_flight mia_li_3668 HAT136 provider-openai 2024-05-20 2024-05-20T10:00:00 /usr/lib/x.py
    ../src/main.py:42 E_CONN_REFUSED ERR-404 0x1F a.b@example.org $129.50 12:30 3.14 v1.2.3 127.0.0.1 UTF-8
    C:\\temp\\x foo.bar() key:value x=y #1234 --verbose List<String> R&D example.org/a/b https://example.org
    https://example.org/a/b?c=d&e=f
"""


@pytest.mark.parametrize("typed", IDENTIFIERS.split())
def test_identifier_is_found_as_it_is_written(sql: Sql, typed: str) -> None:
    for language in ("english", "german", "simple"):
        for text in (typed, f"see {typed} there", f"({typed}), {typed}", f'"{typed}"'):
            assert matches(sql, language, text, typed), (language, text)


@pytest.mark.parametrize(
    ("language", "word"),
    [
        *(("english", word) for word in ("passengers", "reservations", "cancellation", "booking")),
        *(("english", word) for word in ("certificates", "baggage", "international", "understanding")),
        *(("german", word) for word in ("Flüge", "Flughafen", "Buchungen", "Reisende")),
        *(("simple", word) for word in ("Passengers", "HAT136", "mia_li_3668", "2024-05-20")),
    ],
)
def test_each_beginning_of_a_word_finds_it(sql: Sql, language: str, word: str) -> None:
    beginnings = [word[:end] for end in range(1, len(word) + 1)]
    missed = [beginning for beginning in beginnings if not matches(sql, language, f"the {word} was", f"{beginning}*")]
    assert missed == []


def test_beginning_finds_nothing_that_begins_otherwise(sql: Sql) -> None:
    assert not matches(sql, "english", "a passage for pass holders", "passen*")
    assert not matches(sql, "english", "direct train flight", '"direct flig*"')
    assert not matches(sql, "english", "flights", "-flig*")
    assert not matches(sql, "english", "2024-06-20", "2024-05*")
    assert not matches(sql, "english", "provider anthropic open", "provider-open*")


def test_every_identifier_of_real_transcripts_is_found_where_it_is(sql: Sql) -> None:
    wanted = []
    for number, messages in enumerate(transcripts()):
        insert_session(sql, f"s{number}")
        insert_messages(sql, f"s{number}", messages)
        wanted += [
            {"session_id": f"s{number}", "seq": seq, "typed": identifier}
            for seq, message in enumerate(messages, 1)
            for identifier in identifiers(message)
        ]
    assert wanted != []
    missed = sql(
        "select w.* from jsonb_to_recordset(%s) as w (session_id text, seq bigint, typed text)"
        " left join messages as m using (session_id, seq)"
        " where (m.search @@ search_query('english', w.typed)) is not true",
        json.dumps(wanted),
    )
    assert missed == []


@pytest.mark.slow
@pytest.mark.parametrize("install", INSTALLS, ids=str)
def test_every_postgresql_reads_and_finds_the_same(install: Any) -> None:
    program = embedded.wheel_install(install) if isinstance(install, int) else install
    with private_folder() as folder, embedded.running(folder, "amplifier-api", program) as dsn:
        migrate.migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:

            def run(statement: str, *args: Any) -> list[Any]:
                cursor = connection.execute(statement, args or None)
                return cursor.fetchall() if cursor.description else []

            insert_session(run, "s")
            insert_messages(run, "s", [message_of(said="L'ÉCOLE: flights, src/main.py, 2024-05-20, mia_li_3668")])
            for typed in ("école", "flig* -train", '"flights src/main.py"', "2024-05*", "mia_li_3668", "cat or écol*"):
                found = "search @@ search_query_within(search_query('english', %s), 'ABC')"
                mark = (
                    "search_headline('english', search_query('english', %s), message ->> 'content') like '%%\ue000%%'"
                )
                assert run(f"select {found}, {mark} from messages", typed, typed) == [(True, True)], typed


def identifiers(message: dict[str, Any]) -> set[str]:
    """Returns the tools that a message calls, and the values in it that look like mia_li_3668."""
    calls = message.get("tool_calls") or []
    names = {(call.get("function") or {}).get("name") or call.get("tool") or call.get("name") for call in calls}
    arguments = [call.get("arguments") or (call.get("function") or {}).get("arguments") for call in calls]
    found = re.findall(r"\b[a-z]+_[a-z]+_\d+\b", " ".join(leaves([message.get("content"), arguments])))
    return names | set(found)


def leaves(value: Any) -> Iterator[str]:
    """The strings in a value, also those in JSON as text."""
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            inner = None
        yield from leaves(inner) if isinstance(inner, dict | list) else [value]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from leaves(item)


def matches(sql: Sql, language: str, text: str, typed: str) -> bool:
    message = json.dumps({"role": "user", "content": text})
    statement = "select message_search(%s::jsonb, %s::regconfig) @@ search_query(%s::regconfig, %s)"
    [(found,)] = sql(statement, message, language, language, typed)
    return bool(found)
