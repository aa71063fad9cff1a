"""Applies migrations, reviews them, rebuilds the search index."""
