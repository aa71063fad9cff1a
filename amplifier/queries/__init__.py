"""Loads named SQL, checks it, and replaces it at run time."""
