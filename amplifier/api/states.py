"""State: a JSON document of a session, of a user in an application, and of an application, changed by merge patches."""

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from amplifier.errors import Problem
from amplifier.web import states
from amplifier.web.append_rights import appendable
from amplifier.web.request import Request, participation
from amplifier.web.routing import get, patch
from amplifier.web.states import OwnStatePatches, OwnStateVersions, PatchedStates, State, StatePatches, StateVersions

_MAY_NOT_WRITE = "Only owners, editors and whoever has the permission send may change the state of a session"


class UpdateSessionState(StatePatches):
    """Patches of the state of a session, of the caller, and of the application; all are merged, or none."""

    versions: StateVersions | None = None


class UpdateState(OwnStatePatches):
    """Patches of the state of the caller, and of the application; both are merged, or none."""

    versions: OwnStateVersions | None = None


class OwnStates(msgspec.Struct):
    """The state of the caller in the application, and of the application."""

    user: State
    application: State


class SessionStates(OwnStates):
    """The state of a session, of the caller in the application, and of the application."""

    session: State


class SessionStateController(Controller):
    """Routes of the state that goes with a session."""

    path = "/sessions/{session_id:str}/state"
    tags = ["state"]

    @get(operation_id="get_session_state", summary="State with a session")
    async def get_session_state(self, request: Request, session_id: FromPath[str]) -> SessionStates:
        """Returns the documents of the session, of the caller in the application, and of the application. For
        participants; nobody else sees the caller's."""
        rows = await _list(request, session_id)
        return SessionStates(**rows)

    # an event names the member that changed the session's; an agent writes its state with every turn
    @patch(
        operation_id="update_session_state",
        summary="Patch state with a session",
        audited=False,
        errors=(403, 409, 412),
    )
    async def update_session_state(
        self, request: Request, session_id: FromPath[str], data: JSONBody[UpdateSessionState]
    ) -> PatchedStates:
        """Merges patches into the documents, all or none, and returns those it names. The session's is for owners,
        editors and participants with `send`; the session must be active."""
        patches, versions = _taken(request, data), states.encoded_versions(data.versions)
        row = await request.queries.appends.create(
            actor_id=request.caller.user_id,
            actor_app_id=request.caller.app_id,
            session_id=session_id,
            messages=b"[]",
            keys=[],
            replaces=False,
            expected_seq=None,
            state=patches,
            versions=versions,
        )
        if row is None:
            await appendable(request, session_id, _MAY_NOT_WRITE, "change its state")
            raise states.stale(await _list(request, session_id), data.versions)
        return states.patched(row["state"])


class StateController(Controller):
    """Routes of the state that goes without a session."""

    path = "/state"
    tags = ["state"]

    @get(operation_id="get_state", summary="State of the caller and the application")
    async def get_state(self, request: Request) -> OwnStates:
        """Returns the documents of the caller in the application, and of the application."""
        caller = request.caller
        rows = await request.queries.states.list_own(actor_id=caller.user_id, actor_app_id=caller.app_id)
        return OwnStates(**states.by_scope(rows))

    @patch(operation_id="update_state", summary="Patch this state", audited=False, errors=(403, 412))
    async def update_state(self, request: Request, data: JSONBody[UpdateState]) -> PatchedStates:
        """Merges patches into the documents, all or none, and returns those it names. That of the application is
        written with the application's key only."""
        caller, patches, versions = request.caller, _taken(request, data), states.encoded_versions(data.versions)
        row = await request.queries.states.update(
            actor_id=caller.user_id, actor_app_id=caller.app_id, state=patches, versions=versions
        )
        if row is None:
            rows = await request.queries.states.list_own(actor_id=caller.user_id, actor_app_id=caller.app_id)
            raise states.stale(states.by_scope(rows), data.versions)
        return states.patched(row["state"])


async def _list(request: Request, session_id: str) -> dict[str, State]:
    """Returns the documents by scope. Raises Problem 404."""
    caller = request.caller
    rows = await request.queries.states.list(actor_id=caller.user_id, actor_app_id=caller.app_id, session_id=session_id)
    if not rows:
        await participation(request, session_id)
    return states.by_scope(rows)


def _taken(request: Request, data: OwnStatePatches) -> bytes:
    """Returns the patches as queries take them. Raises Problem 422 if there is none, and 403."""
    patches = states.encoded(request, data)
    if patches is None:
        raise Problem(422, "Send a patch of one document at least")
    return patches
