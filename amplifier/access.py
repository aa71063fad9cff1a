"""Which queries serve whom, where it is not every participant: what an edit of `queries/` alone can never change."""

# What is not bound to something that the caller owns or takes part in. A query comes onto this list by a change of the
# code, not of its header.
UNBOUND = {
    "applications.create": "system",
    "applications.delete": "system",
    "applications.find_by_id": "system",
    "applications.find_by_prefix": "system",
    "applications.get": "system",
    "applications.list": "system",
    "applications.list_versions": "system",
    "applications.update_key": "system",
    "audit.add": "system",
    "audit.list": "system",
    "audit.list_of_target": "system",
    "configs.create": "self",
    "events.list_existing": "system",
    "events.notify": "system",
    "idempotency.claim": "system",
    "idempotency.store": "system",
    "idempotency.sweep": "system",
    "invitations.claim": "self",
    "invitations.find": "system",
    "invitations.lock": "system",
    "participants.touch": "system",
    "rate_limits.sweep": "system",
    "rate_limits.take": "system",
    "search.get_languages": "system",
    "search.get_terms": "public",
    "searches.add": "system",
    "service.ping": "public",
    "settings.count": "public",
    "settings.delete": "system",
    "settings.get": "public",
    "settings.list": "public",
    "settings.put": "system",
    "streams.close": "system",
    "streams.keep": "system",
    "streams.list_present": "system",
    "streams.open_hints": "self",
    "tickets.claim": "system",
    "tickets.create_for_hints": "self",
    "users.get": "self",
    "users.touch": "system",
}

# Which participants a query does not serve; what is not named here serves owners, editors and viewers of a session.
REFUSED = {
    "invitations.create": ("editor", "viewer"),
    "invitations.list": ("editor", "viewer"),
    "invitations.revoke": ("editor", "viewer"),
    "messages.append": ("viewer",),
    "messages.copy": ("editor", "viewer"),  # without a session of their own
    "participants.create": ("editor", "viewer"),
    "participants.delete": ("editor", "viewer"),
    "participants.update": ("editor", "viewer"),
    "sessions.delete": ("editor", "viewer"),
    "sessions.fork": ("editor", "viewer"),  # without a config of their own
    "sessions.lock": ("editor", "viewer"),
    "sessions.transfer": ("editor", "viewer"),
    "sessions.update": ("viewer",),
}
