"""Tests of amplifier/postgres."""
