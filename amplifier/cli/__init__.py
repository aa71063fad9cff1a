"""Parses commands and prepares the database they work on."""
