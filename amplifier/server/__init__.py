"""Builds the application and handles the signals of its process. The command that serves it is in `amplifier/cli`."""
