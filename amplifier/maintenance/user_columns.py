"""Every column that holds the id of a user, and what an erasure does with it. A test compares it with the schema."""

from psycopg.sql import SQL, Composable, Identifier, Literal

# rows that are one person's alone: deleted
DELETED = {
    "idempotency_keys": "user_id",
    "imports": "user_id",
    "rate_limits": "user_id",
    "searches": "user_id",
    "stream_tickets": "user_id",
    "streams": "user_id",
    "user_states": "user_id",
    "users": "user_id",
}
# rows of sessions that others read, too: the id is replaced
RENAMED_IN_SESSIONS = (
    ("messages", "author_user_id"),
    ("retracted_messages", "author_user_id"),
    ("retracted_messages", "retracted_by_user_id"),
    ("session_events", "actor_user_id"),
    ("runs", "user_id"),
    ("runs", "cancelled_by_user_id"),
    ("run_approvals", "decided_by_user_id"),
    ("session_invitations", "created_by_user_id"),
    ("attachments", "created_by_user_id"),
)
# the person's part in a session: passed on or removed
PARTS = (("session_participants", "user_id"), ("sessions", "owner_user_id"))
# rows of no session: the id is replaced, in `key_managers` removed
RENAMED = (("configs", "user_id"), ("audit_log", "user_id"), ("audit_log", "target_id"))
MANAGERS = ("applications", "key_managers")
# JSON objects with ids in members whose names end with `user_id`, in the audit log also in `key_managers` and `changed`
DOCUMENTS = (("session_events", "data"), ("audit_log", "details"))


def named(column: str, user_id: str) -> Composable:
    """Returns the condition that a column is this user's id."""
    return SQL("{} = {}").format(Identifier(column), Literal(user_id))


def event_names(user_id: str) -> Composable:
    """Returns the condition that the data of an event names a user."""
    return SQL("({0} in (data ->> 'user_id', data ->> 'former_user_id'))").format(Literal(user_id))


def audit_names(user_id: str) -> Composable:
    """Returns the condition that an entry of the audit log names a user, as the one who acted or otherwise."""
    return SQL("""(
    user_id = {0}
    or target_type = 'user' and target_id = {0}
    or details ->> 'user_id' = {0}
    or details -> 'key_managers' ? {0}
    or {0} in (details #>> '{{changed,owner_user_id,old}}', details #>> '{{changed,owner_user_id,new}}')
    or details #> '{{changed,key_managers,old}}' ? {0}
    or details #> '{{changed,key_managers,new}}' ? {0}
)""").format(Literal(user_id))
