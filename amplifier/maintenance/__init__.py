"""Writes that no request waits for: of background jobs, and of the commands that archive, delete, export and erase."""
