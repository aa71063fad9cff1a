"""Applies migrations, checks them, and rebuilds the search index. The migrations themselves are in `migrations/`."""
