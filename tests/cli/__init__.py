"""Tests of amplifier/cli."""
