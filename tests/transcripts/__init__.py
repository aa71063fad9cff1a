"""Tests of amplifier/transcripts."""
