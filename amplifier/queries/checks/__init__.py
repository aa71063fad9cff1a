"""Checks that queries fit the database, and that they give no user access to the data of others."""
