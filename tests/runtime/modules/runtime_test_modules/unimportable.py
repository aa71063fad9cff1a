"""Cannot be imported."""

raise RuntimeError("this machine has no such device")
