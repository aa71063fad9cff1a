"""Runs every benchmark."""

from benchmarks import events, requests, search, start, statements

requests.main()
start.main()
statements.main()
search.main([])
events.main([])
