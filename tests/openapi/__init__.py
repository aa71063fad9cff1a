"""Tests of amplifier/openapi."""
