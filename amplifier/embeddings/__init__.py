"""Embeds messages and questions for the search by meaning, which is off by default."""
