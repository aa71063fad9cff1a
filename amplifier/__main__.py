"""Runs the command `amplifier-api` as `python -m amplifier`."""

from amplifier.cli.main import main

if __name__ == "__main__":
    main()
