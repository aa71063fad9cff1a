"""Runs every benchmark."""

from benchmarks import requests, search, start, statements

requests.main()
start.main()
statements.main()
search.main([])
