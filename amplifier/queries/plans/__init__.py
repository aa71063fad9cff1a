"""Compares plans and results of named SQL with a committed baseline."""
