"""Runs the documentation and checks its references."""
