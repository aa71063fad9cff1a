"""What to call each query with on the profile: usual arguments, and one after the other changed."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from amplifier.queries.plans import actors
from amplifier.queries.plans.actors import Place, Subject
from amplifier.queries.query import Query

_COUNTS = """[{
    "user_id": "user-1", "app_id": "app-1", "day": "2026-01-01", "kind": "messages", "searches": 3, "unsuccessful": 2,
    "cancelled": 1, "seconds": 1.5
}]"""
_BY_TYPE: dict[str, list[Any]] = {
    "bool": [False, True],
    "bytea": [b"answer"],
    "float8": [60.0],
    "int4": [1],
    "int8": [1],
    "jsonb": ["{}", '{"a": 1}'],
    "text": ["new"],
    "varchar": ["new"],
}
_NOT_STARTED = ("waiting", "busy", "ended", "muted")  # sessions in which no run begins at once


class Base(NamedTuple):
    """Arguments that are usual for a query besides those of their names, and which of all are varied (none: all)."""

    given: dict[str, Any] = {}
    varied: tuple[str, ...] | None = None


class Cases:
    """Arguments for the queries, from a filled profile, to which a few rows are added."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        subject, place = actors.chosen(connection)
        self.made_at = subject.made_at
        self._values = _values(subject)
        self._bases = _bases(subject, place)

    def of(self, query: Query, types: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """A label and arguments; the first ones are usual."""
        values = {name: self._of(query, name, types[name]) for name in query.parameters}
        for number, base in enumerate(self._bases.get(query.name, [Base()]), 1):
            usual = {name: given[0] for name, given in values.items()} | base.given
            title = "usual" if number == 1 else f"usual {number}"
            yield title, {name: usual[name] for name in query.parameters}
            for name in query.parameters if base.varied is None else base.varied:
                for place, value in enumerate(values[name], 1):
                    if value != usual[name]:
                        yield f"{title}, {name} {place}", usual | {name: value}

    def _of(self, query: Query, name: str, type_: str) -> list[Any]:
        nullable = query.header.is_nullable(name)
        known = self._values.get(f"{name} {type_}") or self._values.get(name)
        given = known if known is not None else _BY_TYPE.get(type_, [])
        return [None, *given] if nullable else given or [None]


def _values(on: Subject) -> dict[str, list[Any]]:
    """What parameters of a name are given, usual first; a name may have its type behind it."""
    number = on.session.removeprefix("session-")
    first, earlier = datetime.max.replace(tzinfo=UTC), on.made_at - timedelta(days=1, seconds=30)
    message, other = '{"role": "user", "content": "word3 again"}', '{"role": "tool", "content": "word4"}'
    return {
        "actor_id": [on.owner, on.editor, on.viewer, "user-0", "user-inviting", "user-muted"],
        "actor_ids": [[on.owner, on.editor], [on.viewer, "user-0"]],
        "after int8": [0, 2, on.last_seq + 100],
        "after text": ["key-3"],
        "after_config_id": ["", on.config],
        "after_created_at": [first, earlier],
        "after_last_active_at": [first, earlier],
        "after_matched_at": [first, earlier],
        "after_rank": [math.inf, 0.1],
        "after_session_id": ["", on.session],
        "after_updated_at": [first, earlier],
        "after_user_id": ["", on.owner],
        "api_key_hash": ["f" * 64],
        "api_key_prefix": ["amp_3", "amp_new"],
        "action": ["update_session"],
        "added": ['[{"role": "tool", "tool_call_id": "call-1", "content": "word4"}, {"role": "user"}]', "[]"],
        "actor_app_id": ["app-1", "app-2"],
        "app_id": ["app-3", "app-new"],
        "app_ids": [["app-1", "app-2"]],
        "author_user_id": [on.owner, on.editor],
        "approval_id": ["approval-1", "approval-2", "approval-3", "approval-4", "approval-5", "approval-new"],
        "as_of": [earlier],
        "before_queued_at": [first, on.made_at - timedelta(minutes=7)],
        "before_run_id": ["", "run-3"],
        "before_id": [2**62, 100],
        "before_seq": [2**62, 3],
        "before_version": [2**62, 3],
        "by_rank": [True, False],
        "config_id": [on.config, "config-new"],
        "config_ids": [[on.config]],
        "context": [0, 2],
        "counts": [_COUNTS],
        "expected_seq": [on.last_seq + 4, 1],
        "fork_id": ["fork", on.closed],
        "if_seqs": [[on.last_seq + 4, 1], [1]],
        "if_versions": [[3, 7], [1]],
        "invitation_id": [f"invitation-{number}-1", f"invitation-{number}-4", "invitation-new"],
        "is_admin": [False, True],
        "key": ["key-3", "key-new"],
        "key_id": ["amp_3", "amp_new"],
        "key_ids": [["amp_1", "amp_3"]],
        "key_managers": [["user-0"]],
        "key_hash": [*(f"{k}-{number}" for k in (1, 2, 0, -1, -2)), "new"],
        "language": ["german", "unknown"],
        "limit": [10, 1],
        "max_bytes": [100_000, 100],
        "max_uses": [1],
        "message_role": ["tool"],
        "message": [message],
        "messages": [f"[{message}]", f"[{message}, {other}]"],
        "most": [10_000, 3],
        "most_of_user": [10_000],
        "most_elsewhere": [on.elsewhere, on.elsewhere - 1],
        "most_ranked": [2000, 2],
        "new_session_id": ["session-new"],
        "offset": [0, 2],
        "options": [["Allow", "Deny"]],
        "own_config_id": [on.config],
        "owned": [False, True],
        "permissions": ['{"send": false}'],
        "per_minute": [60, 1],
        "process_id": ["process-1", "process-2"],
        "q": ["word3", "word3 again", '"word1 and"', "session -word3", "wor*", "!"],
        "reader_app_id": ["app-3", "app-1"],
        "role": ["viewer", "editor", "owner"],
        "run_id": ["run-1", "run-2", "run-0", "run-new"],
        "run_ids": [["run-1", "run-2"]],
        "seconds": [7200.0, 600_000.0],
        "seq": [2, on.last_seq + 100],
        "seqs": [[0, 3, 0, 2], [4, 3, 2], [0]],
        "session_id": [on.session, on.closed, "session-new"],
        "session_ids": [[on.session, on.closed]],
        "since": [earlier],
        "status": ["completed", "active"],
        "status int4": [200],
        "stream_id": ["stream-new"],
        "stream_ids": [["stream-1-1", "stream-2-1"]],
        "target_id": ["target-3", "target-new"],
        "target_type": ["config", "session"],
        "tags": ["{}", '{"team": 3}'],
        "ticket_hash": [_hash(number) * 2, "f" * 64],
        "title": ["Another title"],
        "token_expires_at": [on.made_at + timedelta(hours=1)],
        "token_hash": [*(_hash(f"{number}/{k}") + _hash(number) for k in range(1, 5)), "0" * 64, "f" * 64],
        "tool": ["find_flight"],
        "until": [earlier],
        "user_id": [on.editor, on.viewer, on.owner, "user-999"],
        "up_to_seq": [3, on.last_seq + 100],
        "version": [2, 3, 1, 9],
        "wanted": [1, 5],
        "user_ids": [[on.owner, on.editor]],
    }


def _bases(on: Subject, at: Place) -> dict[str, list[Base]]:
    """Queries for which something else is usual, and what is tried besides."""
    rare = {"actor_id": on.busy, "q": "needle"}
    recent = rare | {"by_rank": False}
    behind = {"after_created_at": at.created_at, "after_session_id": at.session, "after_seq": at.seq}
    new_ticket, busy = {"ticket_hash": "f" * 64}, {"session_id": "agent-busy"}
    thought = [Base({"q": "secretly"}, ("actor_id",)), Base({"actor_id": on.busy, "q": "secretly"}, ())]
    return {
        "application_keys.create": [
            Base({"app_id": "app-3", "key_id": "amp_new", "name": "new", "most": 20}),
            Base({"app_id": "app-3", "key_id": "amp_new", "name": "default", "most": 20}, ()),
            Base({"app_id": "app-3", "key_id": "amp_new", "name": "new", "most": 1}, ()),
        ],
        "application_keys.delete": [Base(), Base({"key_id": "amp_second"})],
        "applications.create": [
            Base({"app_id": "app-new", "api_key_prefix": "amp_new"}),
            Base({"app_id": "app-new"}, ()),
        ],
        "configs.count_sessions": [Base(), Base({"actor_id": "user-inviting", "config_id": "config-inviting"}, ())],
        "configs.create": [Base({"config_id": "config-new"})],
        "invitation_claims.claim": [
            Base({"actor_id": "user-0"}),
            *(Base({"actor_id": f"user-{one}"}, ()) for one in ("removed", "left", "changed")),
        ],
        "audit.list": [
            Base({"user_id": None, "app_id": None}),
            Base({"user_id": "user-3", "app_id": None}, ("app_id",)),
        ],
        "audit.list_of_target": [
            Base({"user_id": None, "app_id": None}),
            Base(
                {"target_id": "target-4", "user_id": "user-4", "app_id": "app-4", "action": "update_session"},
                ("target_type", "since", "until"),
            ),
        ],
        "rate_limits.take": [
            Base({"actor_id": "user-1"}),
            Base({"actor_id": "user-2"}),
            Base({"actor_id": "user-never", "wanted": 5}),
        ],
        "approvals.list": [Base(busy)],
        **{f"approval_decisions.{one}": [Base(busy)] for one in ("decide", "expire", "get")},
        **{f"runs.{one}": [Base(busy)] for one in ("get", "list", "list_going")},
        # all that expired, and nothing else
        **{
            f"{one}.sweep": [Base(), Base({"limit": 100_000}, ())]
            for one in ("idempotency", "rate_limits", "streams", "tickets")
        },
        "approvals.create": [Base(busy | {"approval_id": "approval-new"})],
        "runs.append": [
            Base(busy),
            Base({"session_id": "agent-muted", "run_id": "run-9"}, ()),
            Base({"session_id": "agent-viewing", "run_id": "run-11"}, ()),
            Base({"session_id": "agent-closed", "run_id": "run-closed"}, ()),
        ],
        "runs.cancel": [
            Base(busy),
            Base(busy | {"run_id": "run-3"}, ("actor_id",)),
            Base({"session_id": "agent-waiting"}, ()),
        ],
        "runs.claim": [
            Base({"session_id": "agent-waiting", "run_id": "run-5"}, ("process_id", "run_id")),
            *(
                Base({"session_id": f"agent-{kind}", "run_id": run_id}, ())
                for kind, run_id in (("refused", "run-7"), ("demoted", "run-10"), ("ended", "run-4"), ("busy", "run-2"))
            ),
            Base({"session_id": "session-4801", "run_id": "run-4801-2"}, ()),
        ],
        "runs.enqueue": [
            Base(busy | {"run_id": "run-new"}, ("actor_id", "actor_app_id", "session_id")),
            *(Base(busy | {"run_id": "run-new"} | more, ()) for more in ({"most": 2}, {"most_of_user": 2})),
        ],
        "runs.get_next": [Base({"session_id": f"agent-{kind}"}, ()) for kind in ("waiting", "busy")],
        "runs.list_waiting": [
            Base({"full_user_ids": [], "served_user_ids": [], "failed_session_ids": []}),
            Base({"full_user_ids": [on.owner], "served_user_ids": [], "failed_session_ids": ["agent-waiting"]}, ()),
            Base({"full_user_ids": [], "served_user_ids": [on.editor, on.owner], "failed_session_ids": []}, ()),
        ],
        "runs.refuse": [
            Base({"session_id": "agent-waiting", "run_id": "run-5", "error": "{}"}),
            Base(busy | {"run_id": "run-1", "error": "{}"}, ()),
        ],
        "runs.finish": [
            Base(busy),
            Base({"status": "cancelled", "session_id": "agent-closed", "run_id": "run-closed", "messages": "[]"}, ()),
        ],
        "runs.renew": [
            Base({"session_ids": ["agent-busy", "agent-busy"]}),
            Base({"session_ids": ["agent-closed", "agent-busy"], "run_ids": ["run-closed", "run-1"]}, ()),
        ],
        "runs.start": [
            Base({"session_id": "agent-idle", "run_id": "run-new"}),
            *(Base({"session_id": f"agent-{kind}", "run_id": "run-new"}, ()) for kind in _NOT_STARTED),
        ],
        "invitations.create": [Base({"invitation_id": "invitation-new", "token_hash": "f" * 64})],
        "transcripts.repair": [
            Base(),
            Base({"session_id": on.closed, "expected_seq": on.closed_seq}, ()),
            Base({"session_id": "agent-busy", "expected_seq": 0, "seqs": [0]}, ()),
        ],
        "participants.create": [
            Base({"user_id": "user-999"}),
            Base({"user_id": "user-999", "actor_id": "user-inviting"}),
        ],
        "participants.delete": [Base(), Base({"user_id": on.owner})],
        "participant_rights.update": [Base(), Base({"role": "viewer"}), Base({"role": "viewer", "user_id": on.owner})],
        "search.list_messages": [
            Base(),
            Base(rare),
            Base(rare | {"session_id": at.session}, ("message_role", "author_user_id", "since", "until", "tool")),
            Base(rare | {"config_id": at.config}, ()),
            Base(recent, ("limit", "after_created_at", "most_ranked")),
            Base(recent | behind, ("after_session_id", "after_seq")),
            Base(rare | behind | {"after_rank": at.rank}, ("after_session_id", "after_seq")),
            Base({"q": "session"}),
            Base({"q": "secretly", "tool": "find_flight"}, ()),
            *thought,
        ],
        "search.list_sessions": [Base(), Base(rare), Base({"q": "session"}, ("owned", "tags", "until")), *thought],
        "sessions.fork": [
            Base({"own_config_id": on.config}),
            Base({"own_config_id": "config-inviting", "actor_id": "user-inviting"}, ()),
        ],
        "sessions.create": [
            Base({"session_id": "session-new"}),
            Base({"session_id": "session-new", "actor_id": "user-new", "config_id": "config-new-user"}, ()),
        ],
        "tickets.claim": [
            Base({"session_id": on.session}),
            Base({"session_id": "session-51", "ticket_hash": _hash("51") * 2}, ()),
        ],
        "tickets.create": [Base(new_ticket)],
        "tickets.create_for_hints": [Base(new_ticket)],
    }


def _hash(text: str) -> str:
    """As `md5` in the profile."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
