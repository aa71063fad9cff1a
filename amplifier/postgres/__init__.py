"""Runs PostgreSQL servers and creates databases: the embedded server, and scratch ones for checks."""
