"""Structs and handlers of one resource each, and the route table. What they share is in `web`."""
