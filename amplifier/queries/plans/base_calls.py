"""The base calls of queries for which the usual values of `amplifier.queries.plans.arguments` are not enough."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from amplifier.queries.plans.actors import Place, Subject
from amplifier.queries.plans.dataset import md5

_NOT_STARTED = ("waiting", "busy", "ended", "muted")  # sessions in which no run starts at once


class Base(NamedTuple):
    """A call of a query. `given` overrides usual values; `varied` names the arguments to vary, all of them if None."""

    given: dict[str, Any] = {}
    varied: tuple[str, ...] | None = None


def _claims(on: Subject) -> dict[str, Any]:
    """Returns the arguments that name two messages of the profile that wait for their embeddings."""
    sessions = [on.session, on.closed]
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return {
        "session_ids": sessions,
        "seqs": [1, 1],
        "claimed_until": [start + timedelta(minutes=int(one.removeprefix("session-"))) for one in sessions],
        "digests": [bytes.fromhex(md5(text)) for text in ("7-2", "no text")],
        "vectors": ["{1,0}", "{0,1}"],
    }


def base_calls(on: Subject, at: Place) -> dict[str, list[Base]]:
    """Returns the base calls by the name of the query, for queries that need others than the usual values."""
    rare = {"actor_id": on.busy, "q": "needle"}
    recent = rare | {"by_rank": False}
    after = {"after_created_at": at.created_at, "after_session_id": at.session, "after_seq": at.seq}
    new_ticket, busy = {"ticket_hash": "f" * 64}, {"session_id": "agent-busy"}
    imported = {"actor_id": "user-attaching", "session_id": "referring"}
    alone = {"actor_id": "user-inviting", "session_id": "alone"}
    retracting = {"actor_id": "user-inviting", "session_id": "retracting"}
    plain = {"actor_id": "user-keyed", "session_id": "plain", "run_id": "run-new"}
    either = {"tags": '[{"team": 3}, {"team": 4}]'}  # two readings of a filter
    two = '[{"role": "user", "content": "word3 again"}, {"role": "tool", "content": "word4"}]'
    keyed: dict[str, Any] = {
        "actor_id": "user-keyed",
        "session_id": "keyed",
        "messages": two,
        "keys": ["key-1", "key-new"],
    }
    keyed |= {"expected_seq": None, "replaces": False, "state": None, "versions": None}
    patched = {
        "messages": "[]",
        "keys": [],
        "state": '{"session": {"a": 2}, "user": {"a": 1}, "application": {"c": 2}}',
    }
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
        # places among rows of the same time
        "config_lists.list": [
            Base(),
            Base({"actor_id": "user-inviting", "after_moment": on.made_at, "after_config_id": "config-inviting"}, ()),
            Base(
                {"actor_id": "user-inviting", "after_moment": on.made_at, "after_config_id": "config-invited"}
                | {"ascending": True},
                (),
            ),
        ],
        "session_includes.list": [
            Base(dict.fromkeys(("with_metadata", "with_participants", "with_last_message", "with_state"), True)),
            Base({"with_preview": True, "with_run": True, "max_bytes": 100_000}, ("unread", "shared")),
            Base({"with_last_message": True, "sort": "created_at", "max_bytes": 150}, ("ascending", "after_moment")),
            *_list_calls(on)[1:],
            Base(  # a page that ends among rows of the same time
                {"sort": "created_at", "after_moment": on.made_at, "after_session_id": "agent-ended"}
                | {"ascending": True, "limit": 1},
                (),
            ),
        ],
        "session_lists.list": _list_calls(on),
        "sessions.list": [Base(), Base({"actor_id": on.editor, "owned": True}, ()), Base(either, ())],
        "sessions.count": [Base(), Base(either, ())],
        "configs.count": [Base(), Base(either, ())],
        # the last thing in one session was a message, in the other an event
        **{
            one: [
                Base(),
                *(Base(of | {"as_of": on.made_at}, ()) for of in (alone, retracting, {"session_id": on.closed})),
            ]
            for one in ("messages.list", "messages.list_backwards", "newest_messages.list")
        },
        "appends.create": [
            Base(keyed | {"replaces": True}),
            Base(keyed | {"actor_id": "user-sending", "keys": ["key-2", ""], "replaces": True}, ("expected_seq",)),
            Base(keyed | {"actor_id": "user-sending", "replaces": True}, ()),  # the message is another user's
            Base(keyed | {"keys": ["key-1", "key-2"]}, ()),
            *(Base(keyed | {"keys": ["key-new", "key-new"], "replaces": replaces}, ()) for replaces in (False, True)),
            Base({"messages": two, "keys": ["key-new", ""], "expected_seq": None}, ("actor_id", "session_id")),
            Base(keyed | patched, ("state", "versions", "actor_id", "actor_app_id")),
            Base(keyed | patched | {"actor_app_id": "app-9"}, ()),
            *(
                Base(keyed | patched | {"versions": known}, ())
                for known in ('{"session": 5}', '{"user": 3, "session": 4}')
            ),
            Base(keyed | patched | {"replaces": True, "messages": two, "keys": ["key-1", "key-new"]}, ()),
        ],
        **{
            f"attachment_copies.{one}": [
                Base(),
                *(
                    Base({"actor_id": actor, "session_id": "attached", "fork_id": fork, "sha256": "a" * 64}, ())
                    for actor in ("user-attaching", "user-editing")
                ),
            ]
            for one, fork in (("copy", "referring"), ("copy_chunks", "copied"))
        },
        # a message that is known, the newest one, and one that was taken back
        "attachment_expiry.find_reference": [
            Base(),
            *(
                Base({"session_id": "referring", "sha256": letter * 64, "referenced_seq": known}, ())
                for letter, known in (("a", 1), ("a", None), ("b", None))
            ),
        ],
        "attachment_expiry.keep": [Base(), Base({"session_id": "attached", "sha256": "a" * 64}, ("seq",))],
        "attachments.create": [
            Base(),
            *(Base({"sha256": "0" * 64} | most, ()) for most in ({"most_in_session": 500}, {"most_of_user": 500})),
        ],
        "attachments.delete": [
            Base(),
            Base({"actor_id": "user-adding", "session_id": "attached", "sha256": "a" * 64}, ()),
        ],
        "states.list": [Base(), Base({"actor_id": "user-keyed", "session_id": "keyed"}, ("actor_id", "actor_app_id"))],
        "states.list_own": [Base(), Base({"actor_id": "user-keyed"}, ("actor_app_id",))],
        "states.copy": [Base(), Base({"session_id": "keyed", "actor_id": "user-keyed", "fork_id": "alone"}, ())],
        "states.update": [
            Base({"actor_id": "user-keyed", "versions": '{"user": 3, "application": 4}'}),
            Base({"actor_id": "user-keyed", "versions": '{"user": 4}'}, ()),
            Base({"actor_id": "user-keyed", "versions": None}, ("state",)),
        ],
        "configs.create": [Base({"config_id": "config-new"})],
        **{
            f"embeddings.{one}": [Base(_claims(on), ()), Base(_claims(on) | {"claimed_until": [on.made_at] * 2}, ())]
            for one in ("copy", "give_back", "give_up", "store")
        },
        "embeddings.claim": [Base({"window": 5, "limit": 3}, ("window", "limit"))],
        "embeddings.list_texts": [Base(_claims(on), ()), Base(_claims(on) | {"most": 3}, ())],
        "meaning.list_messages": [
            Base({"most": 100}),
            Base({"actor_id": on.busy, "most": 20}, ("message_role", "limit")),
        ],
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
        # all expired rows, and no other
        **{
            f"{one}.sweep": [Base(), Base({"limit": 100_000}, ())]
            for one in ("idempotency", "imports", "processes", "rate_limits", "streams", "tickets")
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
            Base(plain, ()),
        ],
        "runs.get_history": [
            Base(),
            # all, without the user's message, without the system's, and without any
            *(
                Base({"session_id": "agent-closed", "after": 0, "up_to_seq": 3, "limit": 1, "max_bytes": size}, ())
                for size in (1000, 150, 60, 10)
            ),
        ],
        "runs.get_newer_history": [
            Base({"after": 0, "known": 0, "known_hash": 0}),
            # changed, and more than the agent may read
            Base({"session_id": "agent-closed", "after": 1, "up_to_seq": 3, "known": 9, "known_hash": 1}, ()),
            Base(
                {"session_id": "agent-closed", "after": 0, "up_to_seq": 3, "known": 0, "known_hash": 0, "limit": 1}, ()
            ),
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
            Base(busy | {"answers": True}),
            Base(busy | {"answers": False}, ()),
            *(
                Base({"session_id": f"agent-{kind}", "run_id": run_id, "answers": answers}, ())
                for kind, run_id in (("muted", "run-9"), ("viewing", "run-11"), ("closed", "run-closed"))
                for answers in (True, False)
            ),
            Base(
                {
                    "status": "cancelled",
                    "session_id": "agent-closed",
                    "run_id": "run-closed",
                    "messages": "[]",
                    "answers": False,
                },
                (),
            ),
        ],
        "runs.renew": [
            Base({"session_ids": ["agent-busy", "agent-busy"]}),
            Base({"session_ids": ["agent-closed", "agent-busy"], "run_ids": ["run-closed", "run-1"]}, ()),
        ],
        "runs.start": [
            Base({"session_id": "agent-idle", "run_id": "run-new"}),
            *(Base({"session_id": f"agent-{kind}", "run_id": "run-new"}, ()) for kind in _NOT_STARTED),
            Base(plain, ()),
        ],
        "invitations.create": [Base({"invitation_id": "invitation-new", "token_hash": "f" * 64})],
        "retractions.create": [
            Base({"seqs": [3, 2, 100_000]}, ("actor_id", "session_id", "expected_seq")),
            Base(retracting | {"seqs": [1, 3]}, ("most", "max_bytes", "erases")),
            *(Base(retracting | one, ()) for one in ({"after": 1}, {"after": 3}, {"last": 2}, {"last": 1, "most": 2})),
            *(
                Base(retracting | {"actor_id": actor} | one, ())
                for actor in ("user-editing", "user-adding")
                for one in ({"last": 1}, {"last": 2}, {"last": 1, "erases": True})
            ),
            *(Base({"session_id": f"agent-{kind}", "last": 1}, ()) for kind in ("muted", "busy", "ended", "waiting")),
        ],
        "retracted_messages.erase": [Base(retracting), Base(retracting | {"actor_id": "user-editing"}, ())],
        "retracted_messages.list": [
            Base(retracting, ("after", "limit", "max_bytes")),
            Base(retracting | {"actor_id": "user-editing"}, ()),
            Base(retracting | {"max_bytes": 20, "after": 2}, ()),
        ],
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
            Base(recent | after, ("after_session_id", "after_seq")),
            Base(rare | after | {"after_rank": at.rank}, ("after_session_id", "after_seq")),
            Base({"q": "session"}),
            Base({"q": "secretly", "tool": "find_flight"}, ()),
            *thought,
        ],
        "search_facets.count": [
            Base(),
            Base(rare),
            Base(rare | {"session_id": at.session}, ("message_role", "author_user_id", "since", "until", "tool")),
            Base(rare | {"config_id": at.config}, ()),
            Base({"q": "session"}),
            Base({"q": "secretly", "tool": "find_flight"}, ()),
            *thought,
        ],
        "search.list_sessions": [
            Base(),
            Base(rare),
            Base({"q": "session"}, ("owned", "tags", "until", "message_role", "author_user_id")),
            Base({"q": "session"} | either, ()),
            Base({"q": "secretly", "tool": "find_flight"}, ()),
            *thought,
        ],
        "suggestions.list": [Base({"actor_id": on.busy}), Base({"actor_id": on.busy, "session_id": at.session}, ())],
        "settings.put": [Base(), Base({"key": "key-3", "value": "3", "scope": "global"}, ())],
        "sessions.fork": [
            Base({"own_config_id": on.config}),
            Base({"own_config_id": "config-inviting", "actor_id": "user-inviting"}, ()),
            Base({"own_config_id": "config-kept", "actor_id": "user-kept"}, ()),
        ],
        "exports.get": [Base(), Base({"actor_id": "user-kept"}, ()), Base({"actor_id": "user-muted"}, ())],
        "exports.lines": [Base(imported), Base(imported | {"actor_id": "user-adding"}, ())],
        "exports.origin": [
            Base(imported),
            Base(imported | {"actor_id": "user-adding"}, ()),
            Base(imported | {"session_id": "copied"}, ()),
        ],
        "transcripts.copy": [Base(), Base({"actor_id": "user-kept"}, ())],
        "config_changes.update": [
            Base(),
            Base({"merges": True, "config_json": '{"bundle": {"a": 1}}', "tags": '{"team": null}'}, ()),
        ],
        "sessions.get_by_key": [Base({"actor_id": "user-inviting"})],
        "sessions.update": [
            Base(),
            Base({"merges": True, "metadata": '{"a": {"b": 1}}', "tags": '{"team": null}'}, ()),
        ],
        "sessions.create": [
            Base({"session_id": "session-new", "config_id": on.config}),
            Base({"session_id": "session-new", "actor_id": "user-new", "config_id": "config-new-user"}, ()),
            Base({"session_id": "session-new", "config_id": None}, ()),
            Base({"session_id": "session-new", "actor_id": "user-inviting", "config_id": None}, ("external_id",)),
        ],
        "imports.create": [
            Base({"import_id": "import-new", "actor_id": "user-new"}),
            Base({"import_id": "import-new", "actor_id": "user-1"}, ()),
        ],
        "imports.cancel": [Base({"actor_id": "user-1", "import_id": "import-1"})],
        "imports.get": [Base({"actor_id": "user-1", "import_id": "import-1"})],
        "imports.list": [Base({"actor_id": "user-1", "limit": 5})],
        "imports.finish": [Base({"status": "done"})],
        "imports.keep": [Base({"counts": "{}"})],
        "imports.reap": [Base(), Base({"limit": 100_000}, ())],
        "processes.keep": [Base(), Base({"process_id": "process-new"}, ())],
        "processes.list": [
            Base(),
            Base({"after_started_at": on.made_at - timedelta(minutes=1), "after_process_id": "process-3"}, ()),
        ],
        **_usage_calls(),
        "tickets.claim": [
            Base({"session_id": on.session}),
            Base({"session_id": "session-51", "ticket_hash": md5("51") * 2}, ()),
        ],
        "tickets.create": [Base(new_ticket)],
        "tickets.create_for_hints": [Base(new_ticket)],
    }


def _usage_calls() -> dict[str, list[Base]]:
    """Returns the base calls of sums over a period, and of their second pages."""
    start = datetime(2001, 2, 3, tzinfo=UTC)
    days: dict[str, Any] = {"created_after": start, "created_before": start + timedelta(days=5), "limit": 100}
    days |= {"before_count": 2**62, "before_key": "", "sort": "total_tokens"}
    part = days | {
        "created_after": start + timedelta(hours=7),
        "created_before": start + timedelta(hours=27),
        "limit": 2,
    }
    tokens, runs, messages = days | {"limit": 2}, days | {"sort": "runs"}, days | {"sort": "messages"}
    return {
        "usage.list_by_time": [
            Base(days, ("unit",)),
            Base(part | {"unit": "hour"}, ()),
            Base(days | {"unit": "hour", "before_count": 0, "before_key": "2001-02-03T12:00:00Z", "limit": 3}, ()),
        ],
        "usage.list_by_caller": [
            Base(days | {"by": "user"}, ("by",)),
            *(Base(one | {"by": by}, ()) for one in (part, runs, messages) for by in ("user", "application")),
            Base(runs | {"by": "user", "before_count": 4, "before_key": "user-3"}, ()),
        ],
        "run_usage.list_by_config": [
            Base(days, ()),
            *(Base(one, ()) for one in (part, runs, tokens)),
            Base(runs | {"before_count": 6, "before_key": "config-used"}, ()),
        ],
        "run_usage.list_by_model": [
            Base(days, ()),
            *(Base(one, ()) for one in (part, runs)),
            Base(runs | {"before_count": 6, "before_key": "model-1"}, ()),
        ],
        "searches.list": [
            Base(days | {"by": "day"}, ()),
            *(Base(one | {"by": by}, ()) for one in (days, part) for by in ("user", "application", "kind")),
            Base(days | {"by": "day", "before_count": 0, "before_key": "2001-02-05", "limit": 2}, ()),
            Base(days | {"by": "kind", "before_count": 300, "before_key": "z"}, ()),
        ],
    }


def _list_calls(on: Subject) -> list[Base]:
    """Returns the base calls of lists in any order: among them places among rows of the same time."""
    return [
        Base(),
        *(
            Base(
                {"sort": "created_at", "after_moment": on.made_at, "after_session_id": "agent-ended"}
                | {"ascending": ascending},
                (),
            )
            for ascending in (False, True)
        ),
        Base({"actor_id": on.editor, "owned": True}, ()),
        Base({"actor_id": on.editor, "shared": True}, ()),
        Base({"actor_id": on.editor, "unread": True}, ()),
    ]
