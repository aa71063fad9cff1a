"""Tests of amplifier/imports."""
