"""Loads named SQL, verifies it and replaces it at run time."""
