"""Tests of amplifier/queries."""
