"""The agent runtime: providers, and what runs sessions with them."""
