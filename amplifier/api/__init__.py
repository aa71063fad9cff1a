"""One module a resource: structs on top, one Controller below."""
