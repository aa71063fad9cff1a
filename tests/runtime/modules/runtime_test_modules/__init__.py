"""Modules as an operator installs them: found by entry points only."""
