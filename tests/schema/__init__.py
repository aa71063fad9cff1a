"""Tests of amplifier/schema."""
