"""Finds the folders of data files that are part of the package: queries, migrations and the OpenAPI document."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def folder(name: str, override: str | None = None) -> Path:
    """Returns the path of the folder `queries`, `migrations` or `openapi`, or `override` if it is given.

    The folder is next to the package in a checkout, and inside the package if it was installed from a wheel.
    """
    if override is not None:
        return Path(override)
    checkout = _PACKAGE.parent / name
    return checkout if checkout.is_dir() else _PACKAGE / "share" / name


def is_packaged(path: Path) -> bool:
    """Returns whether `path` is inside the installed package, not in a checkout."""
    return path.is_relative_to(_PACKAGE)
