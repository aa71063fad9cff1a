"""Tests of amplifier/database."""
