"""Tests of amplifier/configs."""
