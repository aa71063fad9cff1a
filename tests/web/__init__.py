"""Tests of amplifier/web."""
