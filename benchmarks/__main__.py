"""Runs every benchmark."""

from benchmarks import requests, start, statements

requests.main()
start.main()
statements.main()
