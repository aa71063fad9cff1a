"""Delivers committed events and ephemeral notes to followers."""
