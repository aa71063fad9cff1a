"""Everything handlers share between ASGI and SQL."""
