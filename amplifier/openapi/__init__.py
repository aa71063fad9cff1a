"""Renders the committed OpenAPI document and finds breaking changes. Handlers and their structs are in `api`."""
