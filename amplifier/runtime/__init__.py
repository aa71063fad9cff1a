"""Runs agents with amplifier-core, which is an extra: nothing outside this package imports it."""
