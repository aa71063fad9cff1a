"""A module that cannot be imported."""

raise RuntimeError("this machine has no such device")
