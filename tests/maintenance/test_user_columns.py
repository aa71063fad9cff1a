"""Every column of the schema is known to hold ids of users or not to: a new one cannot be forgotten."""

from collections.abc import Callable
from typing import Any

from amplifier.maintenance import user_columns

Sql = Callable[..., list[Any]]

# Columns of texts, lists and JSON that hold no id of a user as an id. A new column belongs here or into
# amplifier/maintenance/user_columns.py, which erasure and export use.
OTHERS = {
    "application_states": {"app_id", "document"},
    "application_keys": {"app_id", "key_id", "name", "api_key_hash"},
    "applications": {"app_id", "app_name", "api_key_hash", "api_key_prefix", "settings"},
    "attachment_chunks": {"session_id", "sha256", "data"},
    "attachment_removals": {"location"},
    "attachments": {"session_id", "sha256", "content_type", "name", "location", "created_by_app_id"},
    "audit_log": {"app_id", "action", "target_type", "address", "request_id"},
    "config_versions": {"config_id", "name", "description", "config_json", "tags"},
    "configs": {"config_id", "name", "description", "config_json", "tags", "copied_from_config_id"},
    "configuration": {"key", "value", "scope"},
    "idempotency_keys": {
        "app_id", "key_hash", "request_hash", "response", "etag", "session_ids", "config_ids", "app_ids"
    },
    "imports": {
        "import_id", "app_id", "process_id", "status", "filename", "format", "config_id", "counts", "remarks", "detail"
    },
    "messages": {"session_id", "message", "role", "author_app_id", "key", "search", "search_revision"},
    "embedding_models": {"model"},
    "message_embeddings": {"session_id", "digest", "embedding"},
    "notification_keys": {"inner_key", "outer_key"},
    "processes": {"process_id", "name", "version", "queries_hash"},
    "rate_limits": {"app_id"},
    "retracted_messages": {"session_id", "message", "role", "author_app_id", "key", "retracted_by_app_id"},
    "run_approvals": {"session_id", "approval_id", "run_id", "prompt", "options", "decision"},
    "runs": {
        "session_id", "run_id", "status", "message", "app_id", "response", "error", "usage", "timing", "process_id",
        "finish_reason", "traceparent",
    },
    "searches": {"app_id", "kind"},
    "session_events": {"session_id", "type"},
    "session_invitations": {"session_id", "invitation_id", "token_hash", "role"},
    "session_origins": {"session_id", "tool", "tool_version", "source_id", "path", "title", "digest", "files"},
    "session_origin_lines": {"session_id", "numbers", "message_seqs", "lines"},
    "session_states": {"session_id", "document"},
    "session_participants": {"session_id", "role", "permissions"},
    "sessions": {
        "session_id", "config_id", "created_by_app_id", "last_accessed_by_app_id", "status", "title", "tags",
        "metadata", "search", "search_language", "search_revision", "forked_from_session_id", "external_id",
        "parent_session_id",
    },
    "stream_tickets": {"ticket_hash", "session_id", "app_id"},
    "streams": {"stream_id", "process_id", "session_id"},
    "user_states": {"app_id", "document"},
    "users": {"last_seen_app_id", "metadata"},
}  # fmt: skip


def test_every_column_is_known(sql: Sql) -> None:
    known = {(table, column) for table, columns in OTHERS.items() for column in columns}
    holding = {
        *user_columns.DELETED.items(),
        *user_columns.RENAMED_IN_SESSIONS,
        *user_columns.PARTS,
        *user_columns.RENAMED,
        *user_columns.DOCUMENTS,
        user_columns.MANAGERS,
    }
    assert not known & holding
    columns = sql("""
        select c.table_name, c.column_name
        from information_schema.columns as c
        inner join information_schema.tables as t on t.table_schema = c.table_schema and t.table_name = c.table_name
        where
            c.table_schema = 'public'
            and t.table_type = 'BASE TABLE'
            and c.table_name !~ '^_?yoyo'
            and c.data_type !~ '^(boolean|integer|bigint|double precision|timestamp|date)'
    """)
    assert set(columns) == known | holding
