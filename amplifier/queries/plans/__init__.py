"""Compares plans and results of queries with a committed baseline, on a profile: a generated, reproducible database."""
