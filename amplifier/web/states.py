"""State documents of sessions, users and applications, as bodies name them and answers show them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from amplifier.errors import Problem
from amplifier.web.bodies import Body
from amplifier.web.request import Request

SCOPES = ("session", "user", "application")
Patch = dict[str, msgspec.Raw]
Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_NEEDS_KEY = (
    "The state of an application is written with the application's key only, which AUTH_MODE=jwt_only does not take: "
    "leave application out"
)


class OwnStatePatches(Body):
    """JSON merge patches (RFC 7396) of the caller's document and of the application's."""

    user: Patch | None = None
    application: Patch | None = None


class StatePatches(OwnStatePatches):
    """JSON merge patches (RFC 7396) by scope: members are set, null removes one, objects are merged."""

    session: Patch | None = None


class OwnStateVersions(Body):
    """The versions that the caller's document and the application's have."""

    user: Version | None = None
    application: Version | None = None


class StateVersions(OwnStateVersions):
    """The versions that documents have, by scope."""

    session: Version | None = None


class PatchedState(msgspec.Struct):
    """A document after a patch. `version` is the number of its changes."""

    document: msgspec.Raw
    version: int


class PatchedStates(msgspec.Struct):
    """The documents that a request named, by scope."""

    session: PatchedState | UnsetType = UNSET
    user: PatchedState | UnsetType = UNSET
    application: PatchedState | UnsetType = UNSET


class State(PatchedState):
    """A document. One that was never written is empty and has version 0."""

    updated_at: datetime | None


def encoded(request: Request, patches: OwnStatePatches) -> bytes | None:
    """Returns the patches as queries take them, or None if there is none. Raises Problem 403."""
    if patches.application is not None and not _has_key(request):
        raise Problem(403, _NEEDS_KEY)
    given = _given(patches)
    return msgspec.json.encode(given) if given else None


def patched(state: msgspec.Raw) -> PatchedStates:
    """Returns the documents of a row of `appends.create` or `states.update`."""
    return msgspec.json.decode(state, type=PatchedStates)


def by_scope(rows: Any) -> dict[str, State]:
    """Returns the documents of `states.list` or `states.list_own` by scope."""
    return {row["scope"]: State(*row[2:]) for row in rows}


def stale(found: Mapping[str, State], versions: OwnStateVersions | None) -> Problem:
    """Returns the problem of a patch that changed nothing: 412 if the client knows another version of a document."""
    for scope, version in (_given(versions) if versions is not None else {}).items():
        current = found[scope].version
        if version != current:
            detail = f"The state of the {scope} has version {current}, not {version}: read it, and patch it again"
            return Problem(412, detail, versions={name: state.version for name, state in found.items()})
    return Problem(409, "The session changed at the same time: try again")


def encoded_versions(versions: OwnStateVersions | None) -> bytes | None:
    """Returns versions as queries take them, or None if there is none."""
    return msgspec.json.encode(_given(versions)) if versions is not None else None


def _given(body: OwnStatePatches | OwnStateVersions) -> dict[str, Any]:
    return {scope: value for scope in SCOPES if (value := getattr(body, scope, None)) is not None}


def _has_key(request: Request) -> bool:
    """Returns whether callers need the key of an application, or no credentials at all."""
    settings = request.app.state.settings
    return settings.auth_mode != "jwt_only" or not settings.auth_required
