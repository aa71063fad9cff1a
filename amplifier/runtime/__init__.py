"""Executes agent runs. amplifier-core, an optional extra, is imported only here."""
