"""Tests of amplifier/live."""
