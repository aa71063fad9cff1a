"""Faults: real processes and a real server under load while something breaks, and a history that is checked after it.

`world.py` has the server and the processes, `clients.py` the load, `history.py` what was recorded, `checker.py` the
promises, `report.py` the table in docs/reliability.md.
"""
