"""The probe finds every comparison with the caller that is missing in a query, unless a second one guards the rows."""

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from amplifier.database.pool import Database
from amplifier.queries.checks import run
from amplifier.queries.checks.access_rules import SENDING
from amplifier.queries.registry import Queries
from amplifier.server.row_structs import STRUCTS
from tests.api.test_access_matrix import BODIES, CALLERS, STRANGERS, Target
from tests.conftest import serving, settings_for
from tests.queries.test_checks import FINDING, alone, blocks, edit, with_caller
from tests.queries.test_registry import HEADER

# PLACE matches comparisons of a column with the caller, VALUE places where the caller is only written or returned.
PLACE = re.compile(
    r"(?:\w+\.)?\b(?!decided_by)\w+(?: ->> '\w+')? (?:=|<>|in) (?::actor_id\b|\((?::\w+, )*:actor_id(?:, :\w+)*\))"
    r"|(?:\w+\.)?user_id = any\(:actor_ids::text\[\]\)|p\.user_id = watched\.user_id"
)
VALUE = re.compile(
    r"^\s+:actor_id,?$|decided_by_user_id = :actor_id|coalesce\(r\.\w+, :actor_id\)|^values \(.*\)$"
    r"|'former_user_id', :actor_id\)|search_matches\(:actor_id,.*\)"
    r"|runs_count_queued_of_user\(:actor_id\)|s\.last_seq \+ 1, :actor_id,"
    r"|unnest\(.*:actor_ids::text\[\]\)|:actor_app_id, :actor_id\b|^\s+:actor_id as user_id,$"
    r"|case when l.is_locked then :actor_id end",
    re.MULTILINE,
)
# Comparisons that need not refuse strangers because a second one does, and the route that shows it.
GUARDED = {
    # it locks rows, and the next statement compares the config's owner again
    "configs.lock_sessions: c.user_id = :actor_id": "DELETE /configs/{config_id}",
    "configs.lock_sessions: c.user_id = :actor_id #2": "DELETE /configs/{config_id}",
    # it counts which of the caller's own sessions are shared
    "configs.count_sessions: p.user_id <> :actor_id": "DELETE /configs/{config_id}",
    # these three only exclude users: without them fewer users are admitted
    "invitation_claims.claim: user_id = :actor_id": "POST /invitations/accept",
    "invitation_claims.claim: e.data ->> 'user_id' = :actor_id": "POST /invitations/accept",
    "invitation_claims.claim: e.actor_user_id <> :actor_id": "POST /invitations/accept",
    # the query also requires the token
    "invitation_claims.claim: p.user_id = :actor_id": "POST /invitations/accept",
    # these two lock rows; `owners` counts the caller only if the caller is an owner
    "participant_rights.update: user_id in (:actor_id, :user_id)": (
        "PATCH /sessions/{session_id}/participants/{user_id}"
    ),
    "participants.delete: user_id in (:actor_id, :user_id)": "DELETE /sessions/{session_id}/participants/{user_id}",
    # `rights` decides whether the caller may transfer the session
    "sessions.transfer: user_id in (:actor_id, :user_id)": "POST /sessions/{session_id}/transfer",
    "sessions.transfer: p.user_id in (:actor_id, :user_id)": "POST /sessions/{session_id}/transfer",
    "sessions.transfer: p.user_id = :actor_id": "POST /sessions/{session_id}/transfer",
    # it locks a row, and sessions.fork compares the config's owner again
    "sessions.lock_source: c.user_id = :actor_id": "POST /sessions/{session_id}/fork",
    # it counts messages of others, which only owners and editors may replace
    "appends.create: author_user_id <> :actor_id": "POST /sessions/{session_id}/transcript",
    # it counts messages of others, which only owners and editors may take back
    "retractions.create: c.author_user_id <> :actor_id": "POST /sessions/{session_id}/transcript/retract",
    # it only refuses owners who are not the session's owner_user_id
    "sessions.update: s.owner_user_id = :actor_id": "PATCH /sessions/{session_id}",
    # these two sum the bytes that the caller sent, against a limit
    "attachments.create: created_by_user_id = :actor_id": "POST /sessions/{session_id}/attachments",
    "attachments.get_usage: created_by_user_id = :actor_id": "POST /sessions/{session_id}/attachments",
    # the same request created the target sessions
    "attachment_copies.copy: user_id = :actor_id": "POST /sessions/{session_id}/fork",
    "attachment_copies.copy_chunks: user_id = :actor_id": "POST /sessions/{session_id}/fork",
    "states.copy: user_id = :actor_id #2": "POST /sessions/{session_id}/fork",
    "transcripts.copy: user_id = :actor_id #2": "POST /sessions/{session_id}/fork",
    # each of the two compares the caller's role
    "sessions.delete: actor.user_id = :actor_id": "DELETE /sessions/{session_id}",
    "sessions.delete: user_id = :actor_id": "DELETE /sessions/{session_id}",
    # search_matches finds hits in the caller's sessions only, and each hit is joined to the participants again
    "search.list_messages: a.user_id = :actor_id": "GET /sessions/{session_id}/search?q=hi",
    "search.list_sessions: a.user_id = :actor_id": "GET /sessions?q=hi",
    "search_facets.count: p.user_id = :actor_id": "GET /search/facets?q=hi",
    # the nearest messages are sought in the caller's sessions only, and each is joined to the participants again
    "meaning.list_messages: p.user_id = :actor_id": "GET /search?q=hi",
    "meaning.list_messages: a.user_id = :actor_id": "GET /search?q=hi",
    # words are taken from the caller's sessions, which are joined to the participants again
    "suggestions.list: user_id = :actor_id": "GET /search?q=hellp",
    "suggestions.list: p.user_id = :actor_id": "GET /search?q=hellp",
    # it only hides names of configs of others
    "search_facets.count: c.user_id = :actor_id": "GET /search/facets?q=hi",
    # these only leave the caller's own messages in the caller's own sessions out of what is unread
    "session_includes.list: m.author_user_id <> :actor_id": "GET /sessions?unread=true&include=preview",
    "session_lists.list: m.author_user_id <> :actor_id": "GET /sessions?unread=true",
    "session_lists.count: m.author_user_id <> :actor_id": "GET /sessions?unread=true",
    # each only hides children of sessions of others, also in one's own sessions
    "session_includes.list: o.user_id = :actor_id": "GET /sessions?parent_session_id={session_id}&include=preview",
    "session_lists.list: o.user_id = :actor_id": "GET /sessions?parent_session_id={session_id}",
    "session_lists.count: o.user_id = :actor_id": "GET /sessions?parent_session_id={session_id}",
    "session_includes.list: m.author_user_id <> :actor_id #2": "GET /sessions?include=preview",
    "session_lists.list: m.author_user_id <> :actor_id #2": "GET /sessions",
    "sessions.list: m.author_user_id <> :actor_id": "GET /sessions",
    "sessions.list_by_activity: m.author_user_id <> :actor_id": "GET /users/me/sessions",
    "search.list_sessions: m.author_user_id <> :actor_id": "GET /sessions?q=hi",
    "participants.read: m.author_user_id <> :actor_id": "POST /sessions/{session_id}/read",
}
# Comparisons that only count the caller's open streams.
COUNTED = {"streams.open: t.user_id = :actor_id", "streams.open_hints: user_id = :actor_id"}
ACCEPT = [{"token": "inv_{session_id}_" + "a" * 43}]
PARTICIPATION = "\nwhere p.session_id = :session_id and p.user_id = :actor_id;\n"


def places(folder: Path) -> dict[str, tuple[str, re.Match[str]]]:
    """Returns the query's text and the match for each comparison of a column with the caller."""
    found: dict[str, tuple[str, re.Match[str]]] = {}
    for name, text in with_caller(folder).items():
        for match in PLACE.finditer(text):
            place, number = f"{name}: {match[0]}", 1
            while place in found:
                place, number = f"{name}: {match[0]} #{number + 1}", number + 1
            found[place] = text, match
    return found


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """The service's database, connected."""
    database = Database(settings_for(dsn), dsn)
    await database.connect()
    yield database
    await database.close()


async def finding(database: Database, folder: Path) -> str:
    """Returns the findings for the queries of a folder as text, without those about missing queries."""
    found = await run.findings(Queries(database, folder), STRUCTS)
    return "\n".join(str(one) for one in found if not one.problem.startswith("is missing"))


def test_every_mention_of_the_caller_is_known(folder: Path) -> None:
    for name, text in with_caller(folder).items():
        body = text.partition("-- @index")[2]
        assert ":actor_id" not in VALUE.sub("", PLACE.sub("", body)), f"{name}: teach PLACE or VALUE what is new there"
    assert len(places(folder)) > 30


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", ["{caller} is not null", "({place} or true)", "{place} or true"])
async def test_probe_finds_every_query_that_ignores_the_caller(
    database: Database, folder: Path, tmp_path: Path, sabotage: str
) -> None:
    missed = []
    for place, (text, match) in places(folder).items():
        if place in GUARDED or place in COUNTED:
            continue
        name = place.partition(":")[0]
        caller = ":actor_ids::text[]" if ":actor_ids" in text else ":actor_id::text"
        changed = sabotage.format(place=match[0], caller=caller)
        broken = alone(tmp_path, name, text[: match.start()] + changed + text[match.end() :])
        if f".sql:1: {name}: " not in await finding(database, broken):
            missed.append(place)
    assert missed == [], "the probe has to see it, or it needs a second guard and a line in GUARDED"


@pytest.mark.slow
@pytest.mark.parametrize("place", GUARDED)
async def test_second_guard_refuses_strangers(
    dsn: str, folder: Path, tmp_path: Path, sql: Callable[..., list[Any]], place: str
) -> None:
    text, match = places(folder)[place]
    name, (method, path) = place.partition(":")[0], GUARDED[place].split()
    edit(folder, name, text, text[: match.start()] + ":actor_id::text is not null" + text[match.end() :])
    settings = settings_for(dsn, queries_dir=str(folder))
    async with serving(settings) as api:
        assert await finding(api.app.state.queries.database, folder) == ""
        clients: dict[str, httpx.AsyncClient] = {caller: await api.as_user(caller) for caller in CALLERS}
        target = Target(api, clients, sql)
        ids = await target.fresh("active")
        before = target.rows()
        for caller in STRANGERS:
            for body in BODIES.get(GUARDED[place], ACCEPT if name == "invitation_claims.claim" else [None]):
                refused = await target.send(caller, method, path, body, ids)
                found = refused.json() if refused.status_code == 200 else {}
                nothing = found.get("sessions", found.get("items")) == [] or found.get("hits") == 0
                assert nothing or refused.status_code == 404, refused.text
                assert target.rows() == before, (caller, body)


@pytest.mark.slow
async def test_probe_finds_query_open_to_other_sessions(database: Database, folder: Path, tmp_path: Path) -> None:
    """The caller's participation in another session must not give access to this one."""
    # two compare the session a second time, the others take it from the caller's row
    guarded = {"invitation_claims.claim", "sessions.delete", "states.list", "tickets.create"}
    seen = set()
    for name, text in with_caller(folder).items():
        broken = re.sub(
            r"(\w+\.)?session_id = :session_id\s+and (?=(\w+\.)?user_id (= :actor_id|= any|in)|\(role)", "", text
        )
        if broken == text or name in guarded:
            continue
        broken = re.sub(
            r"inner join (\w+) as (\w+) on \2\.session_id = \w+\.session_id", r"cross join \1 as \2", broken
        )
        broken = re.sub(r"\w+\.session_id = p\.session_id\s+and ", "", broken)
        told = await finding(database, alone(tmp_path, name, broken))
        # creating a session twice fails for its owner, too, and so does what meets rows of several sessions
        noticed = (
            rf"{name}: (an owner of other things {FINDING}|whoever owns what it asks for gets and changes nothing"
            r"|it fails .*(command cannot affect row a second time|more than one row returned by a subquery))"
        )
        assert re.search(noticed, told), (name, told)
        seen.add(name)
    assert seen >= {"sessions.get", "sessions.update", "messages.append", "messages.list", "participants.delete"}


@pytest.mark.parametrize(
    "change",
    [
        "update sessions set title = 'probe' where session_id = :session_id",
        "delete from sessions where session_id = :session_id",
        "update session_participants set role = 'viewer' where session_id = :session_id and user_id <> :actor_id",
        "insert into session_participants (session_id, user_id, role) values (:session_id, :actor_id || 'x', 'owner')",
        "update sessions set last_seq = last_seq",
    ],
)
async def test_probe_finds_select_that_changes_rows(database: Database, tmp_path: Path, change: str) -> None:
    header = HEADER.format(name="get").replace("(actor_id)^", "(actor_id, session_id)^").replace("owner", "participant")
    header = header.replace("-- @return", "-- @param  session_id  the session\n-- @return").replace("local", "one")
    sound = f"select p.user_id from session_participants as p{PARTICIPATION}"
    assert await finding(database, alone(tmp_path, "things.get", header + sound)) == ""
    broken = f"with changed as ({change})\n{sound}"
    told = await finding(database, alone(tmp_path, "things.get", header + broken))
    assert re.search(rf"things\.sql:1: things\.get: somebody with nothing {FINDING}", told), told


async def test_probe_finds_query_that_forgets_the_right_to_send(
    database: Database, folder: Path, tmp_path: Path
) -> None:
    asking = {name: text for name, text in with_caller(folder).items() if re.search(r"and may_send\(", text)}
    assert sorted(asking) == sorted(SENDING)
    for name, text in asking.items():
        broken = re.sub(r"may_send\((\w+\.)?role, (\w+\.)?permissions\)", r"\1role in ('owner', 'editor')", text)
        told = await finding(database, alone(tmp_path, name, broken))
        assert "a session's editor who may not send gets or changes what only senders may" in told, (name, told)


async def test_probe_finds_query_that_serves_no_user(database: Database, folder: Path, tmp_path: Path) -> None:
    text = blocks(folder)["sessions.get"]
    nothing = text.replace("s.session_id = :session_id;", "s.session_id = :session_id and s.status = 'failed';")
    failing = text.replace("s.session_id = :session_id;", "s.session_id = :session_id and 1 / s.message_count > 0;")
    for broken, reason in ((nothing, "gets and changes nothing"), (failing, "fails for .*: division by zero")):
        told = await finding(database, alone(tmp_path, "sessions.get", broken))
        assert re.search(rf"sessions\.sql:1: sessions\.get: .*{reason}", told), told
