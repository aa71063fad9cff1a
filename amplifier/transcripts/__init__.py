"""Pure rules about messages: formats, tool calls and results, repair."""
