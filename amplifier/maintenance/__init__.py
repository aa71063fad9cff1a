"""Batches activity writes and deletes expired rows."""
