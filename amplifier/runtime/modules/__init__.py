"""The modules for amplifier-core that the service includes; configs name them, `module_loader.py` lists the names."""
