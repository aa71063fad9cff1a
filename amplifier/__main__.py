"""`python -m amplifier` is the console script `amplifier-api`."""

from amplifier.cli.main import main

if __name__ == "__main__":
    main()
