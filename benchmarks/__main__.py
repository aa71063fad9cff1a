"""Runs every benchmark."""

from benchmarks import requests, start

requests.main()
start.main()
