"""The class of each table on a database of several nodes.

One server ignores the classes. A query may span nodes or not by the classes of its tables, and a migration names the
class of each table that it creates.
"""

# Rows belong to a session and are stored on the node of their session_id, those of one session together.
DISTRIBUTED = (
    "sessions",
    "session_participants",
    "messages",
    "message_embeddings",
    "retracted_messages",
    "session_events",
    "session_invitations",
    "session_states",
    "session_origins",
    "session_origin_lines",
    "attachments",
    "attachment_chunks",
    "runs",
    "run_approvals",
)
# Every node has a copy, because statements on sessions join them or refer to them.
REFERENCE = ("configs", "config_versions", "users", "streams", "stream_tickets")
# Only the node that the service connects to has them.
LOCAL = (
    "applications",
    "application_keys",
    "application_states",
    "attachment_removals",
    "audit_log",
    "configuration",
    "embedding_models",
    "idempotency_keys",
    "imports",
    "notification_keys",
    "processes",
    "rate_limits",
    "searches",
    "user_states",
)
ALL = (*DISTRIBUTED, *REFERENCE, *LOCAL)
