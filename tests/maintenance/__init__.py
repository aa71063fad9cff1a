"""Tests of amplifier/maintenance."""
