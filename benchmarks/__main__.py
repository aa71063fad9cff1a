"""Runs every benchmark."""

from benchmarks import events, queries, replicas, requests, search, sizing, start, statements, telemetry, turns

requests.main()
start.main()
statements.main()
queries.main()
search.main([])
events.main([])
turns.main()
replicas.main()
telemetry.main([])
sizing.main([])
