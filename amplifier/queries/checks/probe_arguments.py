"""The arguments that the probe passes to queries, taken from the parameters' names, else from their types.

The rows that they name are written by `amplifier.queries.checks.tenants`.
"""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from amplifier.queries.checks.tenants import TOKEN_HASH, WRONG_TOKEN_HASH, Tenants

TARGETS: tuple[str, ...] = ("session_id", "external_id", "config_id", "user_id", "invitation_id", "run_id")
TARGETS += ("approval_id", "item_id", "import_id")

_BY_NAME: dict[str, Any] = {
    "added": b"[]",
    "after": 0,
    "after_requested_at": datetime.min.replace(tzinfo=UTC),
    "author_user_id": None,
    "created_after": None,
    "before": 2**62,
    "before_seq": 2**62,
    "expected_seq": 2,
    "before_version": 2**62,
    "erased_seqs": [2],
    "folder": "/probe/",
    "if_seqs": None,
    "if_versions": None,
    "is_filtered": True,
    "keys": ["probe"],
    "limit": 10,
    "as_of": None,
    "max_bytes": 1000,
    "message_role": None,
    "most": 10,
    "most_elsewhere": 10,
    "most_messages": 10,
    "most_sessions": 10,
    "message": b'{"role": "user", "content": "probe"}',
    "messages": b'[{"role": "user", "content": "probe"}]',
    "offset": 0,
    "parent_session_id": None,
    "participant": None,
    "role": "viewer",
    "run_status": None,
    "most_in_session": 2**40,
    "most_of_user": 2**40,
    "place": 0,
    "seqs": [1],
    "sha256": TOKEN_HASH,
    "since": None,
    "state": b'{"session": {"probe": 1}}',
    "status": "active",
    "token_hash": TOKEN_HASH,
    "tool": None,
    "traceparent": None,
    "updated_after": None,
    "versions": None,
}
_BY_TYPE: dict[str, Any] = {
    "bool": False,
    "bytea": b"probe",
    "float4": 2.0,
    "float8": 60.0,
    "int4": 1,
    "int8": 1,
    "jsonb": b"{}",
    "timestamptz": datetime.max.replace(tzinfo=UTC),
}


def candidates(types: dict[str, str], tenants: Tenants) -> Iterator[dict[str, Any]]:
    """Yields arguments with which the owner of `tenants` may get or change something, by name.

    They name existing rows first, then one or two new ids for queries that create rows, then the session with a run.
    `types` has the types of the parameters by name.
    """
    owner = tenants.owner
    named = _BY_NAME | {name: f"{owner}-{name.removesuffix('_id')}" for name in TARGETS}
    named |= of_caller(owner) | {"user_id": f"{owner}-member"}
    named |= {"session_ids": [f"{owner}-session"], "q": tenants.word, "words": [f"{tenants.word}x"]}
    named["vector"] = [1.0] * tenants.dimensions
    if "external_id" in types:  # keys belong to an application, too
        named["actor_app_id"] = owner
    by_type = _BY_TYPE | dict.fromkeys(("text", "varchar"), tenants.prefix)
    arguments = {
        name: named.get(name, "" if name.startswith("after_") and type_ == "text" else by_type.get(type_))
        for name, type_ in types.items()
    }
    new = {"token_hash": "c" * 64} | dict.fromkeys(TARGETS, f"{owner}-new")
    names = [name for name in arguments if name in new]
    for count in range(3):
        for chosen in itertools.combinations(names, count):
            yield arguments | {name: new[name] for name in chosen}
    yield arguments | {"session_id": f"{owner}-busy"}


def of_caller(user_id: str) -> dict[str, Any]:
    """Returns the arguments that name the caller, and those that name what only the caller owns."""
    own = {"own_config_id": f"{user_id}-config", "fork_id": f"{user_id}-fork"}
    return {"actor_id": user_id, "actor_ids": [user_id], **own}


def of_stranger(arguments: dict[str, Any], owner: str) -> Iterator[dict[str, Any]]:
    """Yields what a stranger passes instead: a wrong token, then also no config, then the owner as `user_id`."""
    token = {"token_hash": WRONG_TOKEN_HASH} if "token_hash" in arguments else {}
    yield token
    if "own_config_id" in arguments:
        yield token | {"own_config_id": None}
    if "user_id" in arguments:
        yield token | {"user_id": owner}
