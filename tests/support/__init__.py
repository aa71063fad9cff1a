"""Helpers of the tests. Fixtures are in `tests/conftest.py` and `database_fixtures.py`."""
