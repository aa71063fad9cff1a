"""Our provider modules: each has `mount(coordinator, config)`, as amplifier-core asks of a module."""
