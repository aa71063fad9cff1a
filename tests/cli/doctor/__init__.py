"""Tests of amplifier/cli/doctor."""
