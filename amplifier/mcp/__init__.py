"""Offers sessions to agents as tools and resources of the Model Context Protocol (MCP)."""
