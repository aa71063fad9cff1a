"""Modules of a package that an operator installs. The service finds them by entry points only."""
