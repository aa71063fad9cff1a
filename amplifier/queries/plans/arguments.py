"""The arguments of each query on the profile: the usual ones, then variants in which one argument differs.

Queries that need other arguments than the usual ones have base calls in `amplifier.queries.plans.base_calls`.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from amplifier.queries.plans import actors
from amplifier.queries.plans.actors import Subject
from amplifier.queries.plans.base_calls import Base, base_calls
from amplifier.queries.plans.dataset import md5
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


class Cases:
    """The arguments of all queries, taken from a filled profile. Creating the object adds a few rows to the profile."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        subject, place = actors.chosen(connection)
        self.made_at = subject.made_at
        self._values = _values(subject)
        self._bases = base_calls(subject, place)

    def of(self, query: Query, types: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields a label and the arguments by name for each case of a query. The first case is the usual one.

        `types` has the types of the parameters by name.
        """
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
    """Returns the values of parameters by name, the usual one first. A key may be a name and its type."""
    number = on.session.removeprefix("session-")
    first, last = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    earlier = on.made_at - timedelta(days=1, seconds=30)
    message, other = '{"role": "user", "content": "word3 again"}', '{"role": "tool", "content": "word4"}'
    return {
        "actor_id": [on.owner, on.editor, on.viewer, "user-0", "user-inviting", "user-muted"],
        "actor_ids": [[on.owner, on.editor], [on.viewer, "user-0"]],
        "sha256": [md5(number) * 2, "0" * 64],
        "before timestamptz": [first, last],
        "checked_before": [first, last],
        "location": ["blob-3", "gone-5"],
        "most_in_session": [2**40, 0],
        "place": [0],
        "after int8": [0, 2, on.last_seq + 100],
        "after text": ["key-3"],
        "after_app_id": ["", "app-3"],
        "after_approval_id": ["", "approval-1"],
        "after_config_id": ["", on.config],
        "after_created_at": [first, earlier],
        "after_key_id": ["", "amp_3"],
        "after_last_active_at": [first, earlier],
        "after_matched_at": [first, earlier],
        "after_moment": [first, earlier],
        "after_rank": [math.inf, 0.65],
        "after_requested_at": [last, on.made_at - timedelta(minutes=5)],
        "after_session_id": ["", on.session],
        "after_process_id": ["", "process-3"],
        "after_started_at": [first, earlier],
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
        "ascending": [False, True],
        "before": [2**62, 3],
        "before_queued_at": [first, on.made_at - timedelta(minutes=7)],
        "before_run_id": ["", "run-3"],
        "before_created_at": [first, earlier],
        "before_import_id": ["", "import-1"],
        "bytes_read": [10, 0],
        "bytes_total": [10],
        "detail": ["why"],
        "before_count": [2**62, 1],
        "before_id": [2**62, 100],
        "before_key": ["", "user-2"],
        "by": ["user", "application"],
        "before_seq": [2**62, 3],
        "before_version": [2**62, 3],
        "by_creation": [True, False],
        "by_rank": [True, False],
        "claimed_until": [[on.made_at]],
        "config_id": [on.config, "config-new"],
        "act_as": [False, True],
        "config_ids": [[on.config]],
        "context": [0, 2],
        "counts": [_COUNTS],
        "created_after": [earlier],
        "created_before": [earlier],
        "digests": [[b"0" * 16]],
        "erased_seqs": [[4, 5], [1, 99]],
        "expected_seq": [on.last_seq + 4, 1],
        "external_id": ["external", "external-new"],
        "fork_id": ["fork", on.closed],
        "if_seqs": [[on.last_seq + 4, 1], [1]],
        "if_versions": [[3, 7], [1]],
        "filename": ["new.jsonl"],
        "format": ["auto"],
        "import_id": ["import-1", "import-2", "import-100", "import-new"],
        "invitation_id": [f"invitation-{number}-1", f"invitation-{number}-4", "invitation-new"],
        "is_admin": [False, True],
        "is_filtered": [True, False],
        "item_id": ["item-new"],
        "key": ["key-3", "key-new"],
        "key_id": ["amp_3", "amp_new"],
        "key_ids": [["amp_1", "amp_3"]],
        "keys": [["key-new"]],
        "key_managers": [["user-0"]],
        "key_hash": [*(f"{k}-{number}" for k in (1, 2, 0, -1, -2)), "new"],
        "folder": ["/", "/word/"],
        "last": [2, 1],
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
        "most_counted": [2000, 2],
        "most_messages": [20, 1],
        "most_ranked": [2000, 2],
        "most_sessions": [200, 2],
        "most_values": [20, 1],
        "new_session_id": ["session-new"],
        "offset": [0, 2],
        "options": [["Allow", "Deny"]],
        "own_config_id": [on.config],
        "owned": [False, True],
        "shared": [False, True],
        "participant": [on.viewer],
        "parent_session_id": [on.session],
        "permissions": ['{"send": false}'],
        "most_participants": [20, 1],
        "per_minute": [60, 1],
        "process_id": ["process-1", "process-2"],
        "q": ["word3", "word3 again", '"word1 and"', "session -word3", "wor*", "!"],
        "reader_app_id": ["app-3", "app-1"],
        "remarks": ["[]"],
        "losses": [0],
        "notes": [0],
        "role": ["viewer", "editor", "owner"],
        "run_id": ["run-1", "run-2", "run-0", "run-new"],
        "run_status": ["queued", "failed"],
        "run_ids": [["run-1", "run-2"]],
        "seconds": [7200.0, 600_000.0],
        "seq": [2, on.last_seq + 100],
        "sort": ["updated_at", "created_at", "last_active_at"],
        "seqs": [[0, 3, 0, 2], [4, 3, 2], [0]],
        "session_id": [on.session, on.closed, "session-new"],
        "session_ids": [[on.session, on.closed]],
        "since": [earlier],
        "started_at": [on.made_at],
        "state": ['{"session": {"a": 1}, "user": {"b": 2}, "application": {"c": null}}', '{"user": {"a": 1}}'],
        "status": ["completed", "active"],
        "status int4": [200],
        "stream_id": ["stream-new"],
        "stream_ids": [["stream-1-1", "stream-2-1"]],
        "target_id": ["target-3", "target-new"],
        "target_type": ["config", "session"],
        "tags": ["{}", '{"team": 3}'],
        "vector": [[1.0, 0.5], [0.0, 1.0], [1.0, 0.5, 0.0]],
        "vectors": [["{1,0}"]],
        "window": [1000, 2],
        "ticket_hash": [md5(number) * 2, "f" * 64],
        "title": ["Another title"],
        "token_expires_at": [on.made_at + timedelta(hours=1)],
        "token_hash": [*(md5(f"{number}/{k}") + md5(number) for k in range(1, 5)), "0" * 64, "f" * 64],
        "tool": ["find_flight"],
        "unread": [False, True],
        "unit": ["day", "hour"],
        "until": [earlier],
        "user_id": [on.editor, on.viewer, on.owner, "user-999"],
        "updated_after": [earlier],
        "updated_before": [earlier],
        "up_to_seq": [3, on.last_seq + 100],
        "version": [2, 3, 1, 9],
        "version text": ["1.0"],
        "versions": ['{"user": 0}', '{"application": 0}', '{"session": 1}'],
        "wanted": [1, 5],
        "words": [["neddle", "absent", "sesion"], ["secretli"]],
        "user_ids": [[on.owner, on.editor]],
    }
