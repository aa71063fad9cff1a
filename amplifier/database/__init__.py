"""Connections to PostgreSQL: the pool, the listener, TLS and outages. Statements are in `amplifier/queries`."""
