"""Writes transcripts in the formats of other tools, without database or HTTP."""
