"""Rules for transcripts without database or HTTP: message formats, tool calls and their results, repair."""
