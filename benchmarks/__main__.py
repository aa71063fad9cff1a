"""Runs every benchmark."""

from benchmarks import (
    changes,
    events,
    imports,
    queries,
    replicas,
    requests,
    search,
    sizing,
    start,
    statements,
    telemetry,
    turns,
)

requests.main()
changes.main([])
start.main()
statements.main()
queries.main()
search.main([])
events.main([])
turns.main()
replicas.main()
telemetry.main([])
imports.main([])
sizing.main([])
