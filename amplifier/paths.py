"""Finds the folders of queries, migrations, the OpenAPI document and the console, and reads and writes their files for
commands."""

from pathlib import Path

from amplifier.errors import InputError

PACKAGE = Path(__file__).parent
CONSOLE = PACKAGE / "static" / "console"  # where `make console` builds the page in a browser


def folder(name: str, override: str | None = None) -> Path:
    """Returns the path of the folder `queries`, `migrations` or `openapi`, or `override` if it is given.

    The folder is next to the package in a checkout, and inside the package if it was installed from a wheel.
    """
    if override is not None:
        return Path(override)
    checkout = PACKAGE.parent / name
    return checkout if checkout.is_dir() else PACKAGE / "share" / name


def sql_files(folder: Path, remedy: str | None = None) -> list[Path]:
    """Returns the SQL files of a folder, sorted by name, without hidden ones, which editors make.

    Raises InputError with `remedy` if there are none.
    """
    if not folder.is_dir():
        raise InputError(folder, "there is no such folder", remedy)
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".sql" and not path.name.startswith("."))
    except OSError as error:
        raise InputError(folder, f"cannot be read: {error.strerror}", remedy) from error
    if not found:
        raise InputError(folder, "no *.sql files here", remedy)
    return found


def migrations(folder_: Path | None = None) -> list[str]:
    """Returns the ids of all migrations in their order, those of this release by default."""
    files = sorted((folder_ or folder("migrations")).glob("*.sql"))
    return [file.stem for file in files if not file.name.endswith(".rollback.sql")]


def text_of(file: Path) -> str:
    """Returns the text of a file. Raises InputError if it cannot be read, or is not in UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(file, f"cannot be read: {error}", "it must be text in UTF-8") from error


def write(file: Path, text: str) -> None:
    """Writes a text to a file. Raises InputError."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(file, f"cannot be written: {error.strerror}") from error


def is_packaged(path: Path) -> bool:
    """Returns whether `path` is inside the installed package, not in a checkout."""
    return path.is_relative_to(PACKAGE)
