"""Tests of the formats in which transcripts are exported."""
