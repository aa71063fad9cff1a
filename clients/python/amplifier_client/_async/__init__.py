"""The asynchronous client. `generate.py` makes the synchronous one from it."""
