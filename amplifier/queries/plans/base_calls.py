"""The base calls of queries for which the usual values of `amplifier.queries.plans.arguments` are not enough."""

from typing import Any, NamedTuple

from amplifier.queries.plans.actors import Place, Subject
from amplifier.queries.plans.dataset import md5

_NOT_STARTED = ("waiting", "busy", "ended", "muted")  # sessions in which no run starts at once


class Base(NamedTuple):
    """A call of a query. `given` overrides usual values; `varied` names the arguments to vary, all of them if None."""

    given: dict[str, Any] = {}
    varied: tuple[str, ...] | None = None


def base_calls(on: Subject, at: Place) -> dict[str, list[Base]]:
    """Returns the base calls by the name of the query, for queries that need others than the usual values."""
    rare = {"actor_id": on.busy, "q": "needle"}
    recent = rare | {"by_rank": False}
    after = {"after_created_at": at.created_at, "after_session_id": at.session, "after_seq": at.seq}
    new_ticket, busy = {"ticket_hash": "f" * 64}, {"session_id": "agent-busy"}
    alone = {"actor_id": "user-inviting", "session_id": "alone"}
    either = {"tags": '[{"team": 3}, {"team": 4}]'}  # two readings of a filter
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
        "session_lists.list": [
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
        ],
        "sessions.list": [Base(), Base({"actor_id": on.editor, "owned": True}, ()), Base(either, ())],
        "sessions.count": [Base(), Base(either, ())],
        "configs.count": [Base(), Base(either, ())],
        # the last thing in one session was a message, in the other an event
        **{
            f"messages.{one}": [
                Base(),
                *(Base(of | {"as_of": on.made_at}, ()) for of in (alone, {"session_id": on.closed})),
            ]
            for one in ("list", "list_backwards")
        },
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
        # all expired rows, and no other
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
        "runs.get_history": [
            Base(),
            # all, without the user's message, without the system's, and without any
            *(
                Base({"session_id": "agent-closed", "after": 0, "up_to_seq": 3, "limit": 1, "max_bytes": size}, ())
                for size in (1000, 150, 60, 10)
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
            Base(recent | after, ("after_session_id", "after_seq")),
            Base(rare | after | {"after_rank": at.rank}, ("after_session_id", "after_seq")),
            Base({"q": "session"}),
            Base({"q": "secretly", "tool": "find_flight"}, ()),
            *thought,
        ],
        "search.list_sessions": [
            Base(),
            Base(rare),
            Base({"q": "session"}, ("owned", "tags", "until")),
            Base({"q": "session"} | either, ()),
            *thought,
        ],
        "settings.put": [Base(), Base({"key": "key-3", "value": "3", "scope": "global"}, ())],
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
            Base({"session_id": "session-51", "ticket_hash": md5("51") * 2}, ()),
        ],
        "tickets.create": [Base(new_ticket)],
        "tickets.create_for_hints": [Base(new_ticket)],
    }
