"""The expected status of every route that takes a session or config, for each kind of caller."""

from typing import Any

# The callers. `partner` is a second owner of the session, `elsewhere` the owner through another application, `admin` a
# stranger through an admin application, `removed` was an editor. Configs are their owner's, also where others take
# part in a session made from them.
CALLERS = ["owner", "elsewhere", "partner", "editor", "viewer", "stranger", "admin", "removed", "nobody"]
ACTIVE = (
    "/items",
    "/{item_id}",
    "/transcript",
    "/retract",
    "/attachments",
    "/repair",
    "/state",
    "/messages",
    "/stream",
)  # of routes for active sessions
FILTERED = ("GET /sessions", "GET /users/{user_id}/sessions")  # lists of what is the user's, by any config_id
GOING_ON = ("POST /imports",)  # changes sessions after its answer: tests/api/test_imports.py
STRANGERS = ("stranger", "admin", "removed")
TABLE = """
    POST   /sessions                                              201 201 404 404 404 404 404 404 401
    PUT    /sessions/by-key/{external_id}                         201 201 404 404 404 404 404 404 401
    GET    /configs/{config_id}                                   200 200 404 404 404 404 404 404 401
    GET    /configs/{config_id}?decrypt=true                      200 200 404 404 404 404 404 404 401
    PUT    /configs/{config_id}                                   200 200 404 404 404 404 404 404 401
    PATCH  /configs/{config_id}                                   200 200 404 404 404 404 404 404 401
    DELETE /configs/{config_id}                                   409 409 404 404 404 404 404 404 401
    DELETE /configs/{config_id}?force=true                        200 200 404 404 404 404 404 404 401
    GET    /configs/{config_id}/versions                          200 200 404 404 404 404 404 404 401
    GET    /configs/{config_id}/versions/{version}                200 200 404 404 404 404 404 404 401
    POST   /configs/{config_id}/versions/{version}/restore        200 200 404 404 404 404 404 404 401
    GET    /sessions/{session_id}                                 200 200 200 200 200 404 404 404 401
    PATCH  /sessions/{session_id}                                 200 200 200 200 403 404 404 404 401
    DELETE /sessions/{session_id}                                 200 200 200 403 403 404 404 404 401
    POST   /sessions/{session_id}/resume                          200 200 200 200 403 404 404 404 401
    POST   /sessions/{session_id}/fork                            201 201 404 404 404 404 404 404 401
    POST   /sessions/{session_id}/transfer                        200 200 200 403 403 404 404 404 401
    GET    /sessions/{session_id}/transcript                      200 200 200 200 200 404 404 404 401
    GET    /sessions/{session_id}/transcript?view=plain           200 200 200 200 200 404 404 404 401
    GET    /sessions/{session_id}/transcript?order=desc           200 200 200 200 200 404 404 404 401
    GET    /sessions/{session_id}/transcript?last=2               200 200 200 200 200 404 404 404 401
    GET    /sessions/{session_id}/export                          200 200 200 200 200 404 404 404 401
    GET    /sessions/{session_id}/export?format=html              200 200 200 200 200 404 404 404 401
    POST   /sessions/{session_id}/transcript/retract              200 200 200 200 403 404 404 404 401
    GET    /sessions/{session_id}/transcript/retracted            200 200 200 403 403 404 404 404 401
    GET    /sessions/{session_id}/transcript/{seq}                200 200 200 200 200 404 404 404 401
    POST   /sessions/{session_id}/transcript                      201 201 201 201 403 404 404 404 401
    GET    /sessions/{session_id}/attachments                     200 200 200 200 200 404 404 404 401
    POST   /sessions/{session_id}/attachments                     201 201 201 201 403 404 404 404 401
    GET    /sessions/{session_id}/attachments/{sha256}            200 200 200 200 200 404 404 404 401
    DELETE /sessions/{session_id}/attachments/{sha256}            204 204 204 204 403 404 404 404 401
    GET    /sessions/{session_id}/state                           200 200 200 200 200 404 404 404 401
    PATCH  /sessions/{session_id}/state                           200 200 200 200 403 404 404 404 401
    GET    /sessions/{session_id}/diagnosis                       200 200 200 200 200 404 404 404 401
    POST   /sessions/{session_id}/repair                          200 200 200 200 403 404 404 404 401
    POST   /sessions/{session_id}/messages                        409 409 409 409 403 404 404 404 401
    POST   /sessions/{session_id}/stream                          409 409 409 409 403 404 404 404 401
    POST   /sessions/{session_id}/cancel                          200 200 200 200 403 404 404 404 401
    GET    /sessions/{session_id}/runs                            200 200 200 200 200 404 404 404 401
    GET    /sessions/{session_id}/runs/{run_id}                   200 200 200 200 200 404 404 404 401
    GET    /sessions/{session_id}/approvals                       200 200 200 200 200 404 404 404 401
    POST   /sessions/{session_id}/approvals/{approval_id}         200 200 200 200 403 404 404 404 401
    GET    /sessions/{session_id}/search?q=hi                     200 200 200 200 200 404 404 404 401
    GET    /search?q=hi&session_id={session_id}                   200 200 200 200 200 404 404 404 401
    GET    /search/facets?q=hi&session_id={session_id}            200 200 200 200 200 404 404 404 401
    GET    /sessions/{session_id}/participants                    200 200 200 200 200 404 404 404 401
    POST   /sessions/{session_id}/participants                    201 201 201 403 403 404 404 404 401
    GET    /sessions/{session_id}/participants/{user_id}          200 200 200 200 200 404 404 404 401
    PATCH  /sessions/{session_id}/participants/{user_id}          200 200 200 403 403 404 404 404 401
    DELETE /sessions/{session_id}/participants/{user_id}          204 204 204 403 403 404 404 404 401
    GET    /sessions/{session_id}/events?after=999                422 422 422 422 422 404 404 404 401
    POST   /sessions/{session_id}/events/ticket                   201 201 201 201 201 404 404 404 401
    GET    /sessions/{session_id}/presence                        200 200 200 200 200 404 404 404 401
    POST   /sessions/{session_id}/read                            200 200 200 200 200 404 404 404 401
    GET    /sessions/{session_id}/invitations                     200 200 200 403 403 404 404 404 401
    POST   /sessions/{session_id}/invitations                     201 201 201 403 403 404 404 404 401
    DELETE /sessions/{session_id}/invitations/{invitation_id}     204 204 204 403 403 404 404 404 401
    POST   /v1/conversations                                      200 200 404 404 404 404 404 404 401
    GET    /v1/conversations/{conversation_id}                    200 200 200 200 200 404 404 404 401
    POST   /v1/conversations/{conversation_id}                    200 200 200 200 403 404 404 404 401
    DELETE /v1/conversations/{conversation_id}                    200 200 200 403 403 404 404 404 401
    GET    /v1/conversations/{conversation_id}/items              200 200 200 200 200 404 404 404 401
    POST   /v1/conversations/{conversation_id}/items              200 200 200 200 403 404 404 404 401
    GET    /v1/conversations/{conversation_id}/items/{item_id}    200 200 200 200 200 404 404 404 401
    DELETE /v1/conversations/{conversation_id}/items/{item_id}    200 200 200 200 403 404 404 404 401
"""
# The body that the route takes, and others to which its participants get other answers.
BODIES: dict[str, list[Any]] = {
    "POST /sessions": [{"config_id": "{config_id}"}],
    "PUT /sessions/by-key/{external_id}": [{"config_id": "{config_id}"}],
    "PUT /configs/{config_id}": [{"name": "new"}, {"tools": [{"module": "m"}]}, {}],
    "PATCH /configs/{config_id}": [{"name": "new"}, {"config_data": {"a": 1}}, {}],
    "PATCH /sessions/{session_id}": [{"title": "new"}, {}],
    "POST /sessions/{session_id}/transfer": [{"user_id": "guest"}, {"user_id": "owner"}, {"user_id": "{caller}"}],
    "POST /sessions/{session_id}/transcript": [
        {"messages": [{"role": "user", "content": "new"}]},
        {"messages": [{"role": "user"}], "expected_seq": 0},
        {"messages": [{"role": "nobody"}]},
        {"messages": [{"role": "user"}], "keys": ["new"], "on_conflict": "replace"},
        {"messages": [], "state": {"session": {"a": 1}, "user": {"a": 1}}},
    ],
    "PATCH /sessions/{session_id}/state": [
        {"session": {"a": 1}},
        {"user": {"a": 1}, "versions": {"user": 7}},
        {"application": {"a": 1}},
    ],
    "POST /sessions/{session_id}/attachments": [{"any": "file"}],
    "POST /sessions/{session_id}/transcript/retract": [
        {"last": 1},
        {"seqs": [1], "erase": True},
        {"after_seq": 0, "expected_seq": 0},
    ],
    "POST /sessions/{session_id}/participants": [
        {"user_id": "new", "role": "viewer"},
        {"user_id": "{caller}", "role": "owner"},
        {"user_id": "guest", "role": "editor", "permissions": {"invite": True}},
    ],
    "PATCH /sessions/{session_id}/participants/{user_id}": [{"role": "editor"}, {"permissions": {"send": True}}, {}],
    "POST /v1/conversations": [{"config_id": "{config_id}", "items": [{"role": "user", "content": "new"}]}],
    "POST /v1/conversations/{conversation_id}": [{"metadata": {"topic": "new"}}],
    "POST /v1/conversations/{conversation_id}/items": [{"items": [{"role": "user", "content": "new"}]}],
    "POST /configs/{config_id}/versions/{version}/restore": [{}],
    "POST /sessions/{session_id}/fork": [{}, {"up_to_seq": 1}, {"up_to_seq": 99}, {"config_id": "{config_id}"}],
    "POST /sessions/{session_id}/messages": [{"message": "new", "on_busy": "reject"}],
    "POST /sessions/{session_id}/stream": [{"message": "new", "on_busy": "reject"}],
    "POST /sessions/{session_id}/approvals/{approval_id}": [{"decision": "allow"}, {"decision": "perhaps"}],
    "POST /sessions/{session_id}/read": [{"seq": 1}],
    "POST /sessions/{session_id}/invitations": [{"role": "viewer"}, {"role": "owner"}],
}
EXPECTED = {
    (line.split()[0], line.split()[1]): dict(zip(CALLERS, map(int, line.split()[2:]), strict=True))
    for line in TABLE.strip().splitlines()
}
