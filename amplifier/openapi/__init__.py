"""Renders the committed document and finds breaking changes."""
